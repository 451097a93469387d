// What passes, as it passes: lines of the process's tap, filtered there.

import { el, section } from "./dom.js";
import { clock, visible, whole } from "./format.js";

const KINDS = [["record", "records"], ["dead", "dead letters"], ["received", "frames received"], ["sent", "frames sent"],
  ["opened", "connections opened"], ["ended", "connections ended"]];
const SHOWN = 100;
const LONGEST = 4000;

export class Tap {
  #abort = null;
  #lines = [];
  #lost = null;
  #error = "";
  #redraw;
  #form = { connector: "", symbol: "", where: "", rate: "20", kinds: new Set(["record", "dead"]) };
  #due = 0;

  constructor(redraw) {
    this.#redraw = redraw;
  }

  wants(connector, symbol) {
    if (connector) this.#form.connector = connector;
    if (symbol) this.#form.symbol = symbol;
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  async start() {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.#lines = [];
    this.#lost = null;
    this.#error = "";
    const query = new URLSearchParams({ kind: [...this.#form.kinds].join(","), rate: this.#form.rate || "20" });
    for (const name of ["connector", "symbol", "where"]) {
      if (this.#form[name]) query.set(name, this.#form[name]);
    }
    this.#redraw();
    try {
      const answer = await fetch(`/console/tap?${query}`, { signal: abort.signal, cache: "no-store" });
      if (!answer.ok) throw new Error((await answer.json()).error ?? `status ${answer.status}`);
      await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      if (!abort.signal.aborted) this.#error = error.message;
    }
    if (this.#abort === abort) this.#abort = null;
    this.#redraw();
  }

  async #read(reader) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.trim()) this.#take(JSON.parse(line));
      }
      if (!this.#due) this.#due = setTimeout(() => { this.#due = 0; this.#redraw(); }, 200);
    }
  }

  #take(said) {
    if (said.kind === "lost") {
      this.#lost = said;
      return;
    }
    this.#lines.unshift({ number: (this.#lines[0]?.number ?? 0) + 1, said });
    this.#lines.length = Math.min(this.#lines.length, SHOWN);
  }

  page(reason) {
    if (reason) return [el("h1", {}, "Live tap"), el("p", { class: "note" }, visible(reason))];
    const form = this.#form;
    const field = (name, label, extra = {}) => el("label", { class: extra.class }, label, el("input", {
      type: "text", id: `tap-${name}`, value: form[name], spellcheck: "false", autocomplete: "off", ...extra,
      oninput: (event) => { form[name] = event.target.value; } }));
    return [
      el("h1", {}, "Live tap"),
      section("What to watch", el("form", { class: "form", onsubmit: (event) => { event.preventDefault(); this.start(); } },
        field("connector", "Connector"), field("symbol", "Symbol"),
        field("where", "Condition (JMESPath)", { class: "wide", placeholder: "record.side == 'BUY'" }),
        field("rate", "Lines per second", { inputmode: "numeric" }),
        el("fieldset", {}, el("legend", {}, "Kinds "), KINDS.map(([kind, word]) => el("label", {}, el("input", {
          type: "checkbox", checked: form.kinds.has(kind), onchange: (event) => {
            if (event.target.checked) form.kinds.add(kind);
            else form.kinds.delete(kind);
          } }), word))),
        el("button", { type: "submit", class: "first" }, this.#abort ? "Start again" : "Start"),
        el("button", { type: "button", disabled: !this.#abort, onclick: () => { this.stop(); this.#redraw(); } }, "Stop")),
      this.#error ? el("p", { class: "note bad", role: "alert" }, visible(this.#error)) : null),
      section("What passes",
        el("p", { class: "quiet" }, this.#abort ? "Watching. " : "Not watching. ",
          this.#lost ? `Not shown so far: ${whole(this.#lost.lost)} lost, ${whole(this.#lost.sampled)} beyond the rate.` : ""),
        this.#lines.map(({ number, said }) => el("details", { "data-key": `line-${number}` },
          el("summary", {}, el("span", { class: "name" }, said.kind), this.#head(said)),
          el("pre", { class: "frame" }, JSON.stringify(said, null, 1).slice(0, LONGEST))))),
    ];
  }

  #head(said) {
    const body = said.record ? Object.entries(said.record).filter(([name, value]) => value !== null
      && ["price", "quantity", "side", "bid_price", "ask_price", "open", "close"].includes(name))
      .map(([name, value]) => `${name} ${value}`).join(", ")
      : said.letter ? `${said.letter.reason} ${said.letter.field ?? ""}: ${said.letter.detail}`
        : said.text ?? said.detail ?? "";
    const time = said.time ?? said.letter?.received_at ?? said.record?.ingestion_timestamp;
    const socket = said.socket && said.worker !== undefined ? `${said.worker}/${said.socket}` : said.socket;
    const words = [clock(time), said.connector, said.stream, said.symbol, socket].filter(Boolean).join(" ");
    return el("span", { class: "venue mono" }, visible(`${words}  ${String(body).slice(0, 200)}`));
  }
}

