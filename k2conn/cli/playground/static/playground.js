// A connector file on the left, frames on the right; what becomes of them is asked of the process that served this page,
// and of nobody else. Everything shown is text: see dom.js.

import { el, lay, section, table } from "./dom.js";
import { plural, visible } from "./format.js";

const KIND = "k2conn playground";
const VERSION = 1;
const LARGEST = 3 << 20;
const PAUSE = 700;
const GRADES = { mapped: "ok", conversation: "starting", sent: "starting", unrecognised: "warn", malformed: "bad" };

const byId = (id) => document.getElementById(id);
const [spec, frames, problems, results, file] = ["spec", "frames", "problems", "results", "file"].map(byId);
let name = "example";
let asked = 0;
let due = 0;

const pill = (grade, word) => el("span", { class: `pill ${grade}` }, word);

function goTo(line, column) {
  const lines = spec.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const end = start + (lines[line - 1] ?? "").length;
  spec.focus();
  spec.setSelectionRange(Math.min(start + column - 1, end), end);
  spec.scrollTop = Math.max(0, (line - 4) * (spec.scrollHeight / Math.max(lines.length, 1)));
}

const place = (line, column = 1) =>
  el("button", { type: "button", onclick: () => goTo(line, column) }, `line ${line}`);

function shownProblems(said) {
  if (said.failed) return [el("p", { class: "note bad" }, said.failed)];
  const found = said.problems.map((one) =>
    el("li", {}, place(one.line, one.column), pill("bad", one.code), " ", one.text));
  const warnings = (said.warnings ?? []).map((one) =>
    el("li", {}, place(one.line, one.column), pill("warn", `warning: ${one.code}`), " ", one.text));
  if (!found.length && !warnings.length) return [el("p", {}, pill("ok", "The file is valid."))];
  return [el("ul", { tabindex: "0", "aria-label": "Problems" }, found, warnings),
    said.more_problems ? el("p", { class: "quiet" }, `and ${said.more_problems} more`) : null];
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function shownRecord(one, key) {
  const rows = Object.entries(one.record).filter(([, value]) => value !== null)
    .map(([field, value]) => el("tr", {}, el("th", { scope: "row" }, field), el("td", { class: "mono venue" }, text(value))));
  const way = one.trace.map((step) => el("tr", {}, el("th", { scope: "row" }, step.field),
    ...["expression", "value", "converter", "result"].map((part) => el("td", { class: "mono venue" }, step[part]))));
  return el("article", { "data-key": key },
    el("h3", {}, `Record: ${one.stream}`),
    way.length ? table(`The way of each field of ${key}`,
      ["field", "expression", "value", "converter", "result"].map((head) => ({ name: head })), way) : null,
    el("details", { class: "sheet", "data-key": `${key}-whole` }, el("summary", {}, "The whole record"),
      table(`Record ${key}`, [{ name: "field" }, { name: "value" }], rows)));
}

function shownLetter(one, key) {
  const facts = [["field", one.field], ["reason", one.reason], ["expression", one.expression], ["value", one.value],
    ["why", one.where || one.detail]].filter(([, value]) => value);
  return el("article", { "data-key": key },
    el("h3", {}, pill("bad", "dead letter"), " ", one.stream ?? "", one.line ? place(one.line) : null),
    el("dl", { class: "facts" }, facts.map(([term, value]) =>
      [el("dt", {}, term), el("dd", { class: "mono venue" }, value)])));
}

function shownFrame(one) {
  const key = `frame ${one.number}`;
  const dead = one.letters.length ? "bad" : GRADES[one.kind];
  const counts = [one.records.length ? plural(one.records.length, "record") : null,
    one.letters.length ? plural(one.letters.length, "dead letter") : null,
    one.more ? `${one.more} more not shown` : null].filter(Boolean).join(", ");
  return el("details", { class: "sheet", "data-key": key, open: one.letters.length > 0 || one.number === 3 },
    el("summary", {}, el("span", { class: "frame-head" }, el("span", { class: "name" }, `${one.number}`),
      pill(dead, one.kind), el("span", { class: "word" }, counts), el("span", { class: "mono text" }, visible(one.text)))),
    el("pre", { class: "frame" }, visible(one.text)),
    one.records.map((record, at) => shownRecord(record, `${key}, record ${at + 1}`)),
    one.letters.map((letter, at) => shownLetter(letter, `${key}, dead letter ${at + 1}`)));
}

function shownResults(said) {
  if (said.failed || said.problems.length) return [];
  const tests = said.tests.map((one) => el("li", {}, pill(one.different.length ? "bad" : "ok",
    one.different.length ? "fails" : "passes"), " ", place(one.line), one.name,
    one.different.length ? el("ul", {}, one.different.map((line) => el("li", { class: "mono venue" }, line))) : null));
  return [
    section("Frames", el("p", { class: "equation" }, said.equation),
      said.frames.length ? said.frames.map(shownFrame) : el("p", { class: "quiet" }, "No frames yet."),
      said.more_frames ? el("p", { class: "quiet" }, `${plural(said.more_frames, "further frame")} not played`) : null),
    tests.length ? section("Tests of the file", el("ul", { class: "plain" }, tests)) : null,
  ].filter(Boolean);
}

function show(said) {
  lay(problems, shownProblems(said).filter(Boolean));
  lay(results, shownResults(said));
  document.body.dataset.state = "shown";
}

async function play() {
  clearTimeout(due);
  const number = ++asked;
  document.body.dataset.state = "asked";
  try {
    const answer = await fetch("/play", {
      method: "POST", headers: { "Content-Type": "application/json" }, cache: "no-store",
      body: JSON.stringify({ spec: spec.value, frames: frames.value }),
    });
    const said = await answer.json();
    if (number === asked) show(answer.ok ? said : { failed: said.error ?? `status ${answer.status}` });
  } catch {
    if (number === asked) show({ failed: "k2conn playground does not answer: is it still running?" });
  }
}

function later() {
  clearTimeout(due);
  due = setTimeout(play, PAUSE);
}

function take(said) {
  name = typeof said.name === "string" && /^[a-z0-9_-]{1,64}$/.test(said.name) ? said.name : "shared";
  spec.value = said.spec;
  frames.value = said.frames;
}

function save() {
  const named = /^connector:\s*([a-z0-9_-]{1,64})\s*$/m.exec(spec.value)?.[1] ?? name;
  const said = { kind: KIND, version: VERSION, name: named, spec: spec.value, frames: frames.value };
  const address = URL.createObjectURL(new Blob([JSON.stringify(said, null, 1)], { type: "application/json" }));
  const link = el("a", { href: address, download: `${named}.playground.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// A saved file has both sides; a connector file or frames are laid on their own side.
async function opened(chosen) {
  if (chosen.size > LARGEST) return show({ failed: "the file is larger than 3 MiB" });
  const content = await chosen.text();
  if (/\.ya?ml$/i.test(chosen.name)) {
    spec.value = content;
  } else {
    let said = null;
    try {
      said = JSON.parse(content);
    } catch { /* frames, then */ }
    const ours = said && typeof said === "object" && said.kind === KIND;
    if (ours && (said.version !== VERSION || typeof said.spec !== "string" || typeof said.frames !== "string")) {
      return show({ failed: "the file is of another version of the playground" });
    }
    if (ours) take(said);
    else frames.value = content;
  }
  return play();
}

byId("play").onclick = play;
byId("save").onclick = save;
byId("open").onclick = () => file.click();
file.onchange = () => {
  if (file.files.length) opened(file.files[0]);
  file.value = "";
};
for (const side of [spec, frames]) {
  side.addEventListener("input", later);
  side.addEventListener("dragover", (event) => event.preventDefault());
  side.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    opened(event.dataTransfer.files[0]);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    play();
  }
});

take(await (await fetch("/begins-with", { cache: "no-store" })).json());
play();
