// What several pages have in common: how a connector does, figures in tiles, errors, the ledger's equation.

import { bar } from "./charts.js";
import { el, section, svg, table } from "./dom.js";
import { clockOf, connectorLink, visible, whole } from "./format.js";

export const WORDS = { ok: "ok", starting: "starting", warn: "degraded", bad: "broken" };
// A shape for each, so that nobody has to tell colours apart.
const SHAPES = {
  ok: () => svg("circle", { class: "shape", cx: 5, cy: 5, r: 4 }),
  starting: () => svg("circle", { cx: 5, cy: 5, r: 3.5, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }),
  warn: () => svg("path", { class: "shape", d: "M5 .5 9.8 9.5H.2z" }),
  bad: () => svg("rect", { class: "shape", x: 1, y: 1, width: 8, height: 8 }),
};

export const shape = (grade) =>
  svg("svg", { width: 10, height: 10, viewBox: "0 0 10 10", "aria-hidden": "true" }, SHAPES[grade]());

export const pill = (grade, word = WORDS[grade]) => el("span", { class: `pill ${grade}` }, shape(grade), word);

export function tile(name, figure, small = null, extra = {}) {
  return el("div", { class: "tile" }, el("dt", {}, name),
    el("dd", {}, el("span", { class: `figure ${extra.grade ?? ""}` }, figure), small ? el("small", {}, small) : null,
      extra.curve ?? null));
}

export const graded = (count, grade) => (count ? el("span", { class: grade }, whole(count)) : whole(count));

export function why(grade, sentences) {
  if (!sentences.length) {
    return el("section", { class: "verdict ok", "aria-label": "Why" },
      el("p", { class: "headline" }, pill("ok", "Nothing is amiss.")));
  }
  const [first, ...others] = sentences;
  return el("section", { class: `verdict ${grade}`, "aria-label": "Why" },
    el("p", { class: "headline" }, pill(grade, ""), el("span", { class: "venue" }, visible(first))),
    others.length ? el("ul", {}, others.map((one) => el("li", { class: "venue" }, visible(one)))) : null);
}

const TERMS = [
  ["published", "published", "published"], ["duplicates", "duplicates", "duplicates"],
  ["dead letters", "dead_letters", "dead"], ["in flight", "in_flight", "flight"], ["lost", "lost", "lost"],
];

export function ledger(figures, balanced) {
  const parts = TERMS.map(([name, key, style]) => ({ name, count: figures[key], class: style }));
  const sum = parts.reduce((all, one) => all + one.count, 0);
  const sign = sum === figures.received ? "=" : "≠";
  const text = `received ${whole(figures.received)} ${sign} `
    + parts.map((one) => `${one.name} ${whole(one.count)}`).join(" + ");
  return section("Ledger", bar(parts, text),
    el("p", { class: "equation" },
      el("span", { class: "term" }, "received ", el("b", {}, whole(figures.received))), el("span", {}, sign),
      parts.map((one, at) => [at ? el("span", {}, "+") : null, el("span", { class: "term" },
        svg("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" },
          svg("rect", { class: `part ${one.class}`, width: 10, height: 10, rx: 2 })),
        `${one.name} `, el("b", {}, whole(one.count)))]),
      balanced === undefined ? null : el("span", { class: "term" }, balanced ? pill("ok", "balanced")
        : pill("bad", "not balanced"))));
}

export function errors(found, withConnector) {
  const columns = [{ name: "Time (UTC)" }, withConnector ? { name: "Connector" } : null, { name: "What" },
    { name: "Stream" }, { name: "Details" }].filter(Boolean);
  return section("Latest errors", found.length ? table("Latest errors", columns, found.map((one) => el("tr", {},
    el("td", { class: "mono" }, clockOf(one.time)),
    withConnector ? el("td", {}, el("a", { href: connectorLink(one.connector) }, visible(one.connector))) : null,
    el("td", { class: "word" }, visible(one.kind), one.reason ? el("small", {}, ` ${visible(one.reason)}`) : null),
    el("td", { class: "venue" }, visible(one.stream)),
    el("td", { class: "venue mono" }, visible(one.text)))))
    : el("p", { class: "quiet" }, "None."));
}
