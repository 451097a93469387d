// Dead letters, each with the piece of its frame in which the field stands that could not be read.

import { el, section } from "./dom.js";
import { clock, plural, visible } from "./format.js";

function fact(name, value, style = "venue mono") {
  return value ? [el("dt", {}, name), el("dd", { class: style }, visible(value))] : null;
}

function frame(one) {
  const mark = one.marked ? el("mark", {}, visible(one.marked)) : null;
  return el("pre", { class: "frame" }, one.cut && one.marked ? "… " : null, visible(one.before), mark,
    visible(one.after), one.cut ? " …" : null);
}

function article(one) {
  return el("article", { "data-key": `${one.received_us} ${one.symbol} ${one.value}` },
    el("p", {}, el("span", { class: "mono" }, `${clock(one.received_us)} UTC `), el("span", { class: "venue" }, visible(one.detail))),
    el("dl", { class: "facts" }, fact("symbol", one.symbol), fact("field", one.field),
      fact("expression", one.expression), fact("value found", one.value)), frame(one),
    one.binary ? el("p", { class: "quiet" }, "A binary frame, as hexadecimal digits; no place is marked in it.")
      : one.marked || one.field === "frame" ? null : el("p", { class: "quiet" }, "The place was not found in the frame."));
}

export function lettersSection(letters, reasons) {
  const kinds = new Map();
  for (const one of letters) {
    const kind = [one.stream, one.reason, one.field].join("\u0000");
    kinds.set(kind, [...(kinds.get(kind) ?? []), one]);
  }
  const counts = Object.entries(reasons);
  const groups = [...kinds].map(([kind, found], at) => el("details", { "data-key": kind, open: at === 0 },
    el("summary", {}, el("span", { class: "name" }, `${visible(found[0].reason)}`),
      el("span", { class: "venue" }, `stream ${visible(found[0].stream)}${found[0].field ? `, field ${visible(found[0].field)}` : ""}`),
      el("span", { class: "quiet" }, ` (${plural(found.length, "example")})`)),
    found.map(article)));
  return section("Dead letters",
    counts.length ? el("p", {}, counts.map(([reason, count], at) =>
      [at ? ", " : "", `${visible(reason)} `, el("b", {}, count.toLocaleString("en"))])) : null,
    groups.length ? groups : el("p", { class: "quiet" }, counts.length ? "No example is kept any more." : "None."));
}
