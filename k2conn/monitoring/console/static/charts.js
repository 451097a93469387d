// Curves, bars and time lines as SVG, each with its words for those who do not see it.

import { el, svg } from "./dom.js";
import { clock, visible } from "./format.js";

// `points`: numbers or null, the oldest first; `say` writes a number.
export function sparkline(points, name, say, size = { width: 96, height: 22 }) {
  const { width, height } = size;
  const known = points.filter((one) => one !== null && one !== undefined && Number.isFinite(one));
  if (known.length < 2) return svg("svg", { class: "spark", width, height, "aria-hidden": "true" });
  const flat = size.fromZero === false ? Math.min(...known) : 0;
  const most = Math.max(...known);
  const span = most - flat || Math.abs(most) || 1;
  const step = width / Math.max(1, points.length - 1);
  const y = (value) => (most === flat && size.fromZero === false ? height / 2
    : height - 2 - ((value - flat) / span) * (height - 4));
  let line = "";
  let first = null;
  let last = null;
  points.forEach((value, at) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return;
    const x = (at * step).toFixed(1);
    line += `${line ? "L" : "M"}${x} ${y(value).toFixed(1)}`;
    first ??= x;
    last = x;
  });
  const label = `${name}: now ${say(known.at(-1))}, least ${say(Math.min(...known))}, most ${say(most)}`;
  return svg("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": label, preserveAspectRatio: "none" },
  svg("title", {}, label),
  svg("path", { class: "spark-area", d: `${line}L${last} ${height}L${first} ${height}Z` }),
  svg("path", { class: "spark-line", d: line }));
}

// Parts of a whole as one bar; `parts`: name, count, class.
export function bar(parts, label) {
  const sum = parts.reduce((all, one) => all + Math.max(0, one.count), 0) || 1;
  let x = 0;
  const pieces = parts.filter((one) => one.count > 0).map((one) => {
    const width = Math.max(0.4, (one.count / sum) * 100);
    const piece = svg("rect", { class: `part ${one.class}`, x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 6 });
    x += width;
    return piece;
  });
  return svg("svg", { class: "stack", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img",
    "aria-label": label }, pieces);
}

const STATES = {
  open: "open", pending: "being fetched", done: "filled", closed: "closed late", failed: "given up",
};

export function gapState(gap) {
  if (gap.status === "CLOSED") return gap.recovered ? "done" : "closed";
  if (gap.backfill === "failed" || gap.backfill === "pending") return gap.backfill;
  return gap.backfill === "done" ? "done" : "open";
}

export const gapWord = (gap) => STATES[gapState(gap)];

// Gaps on a line for each stream, from the oldest to now. `nowUs`: the clock of the process.
export function timeline(gaps, nowUs) {
  const width = 1000;
  const lane = 26;
  const left = 130;
  const names = [...new Set(gaps.map((one) => one.stream))].slice(0, 8);
  const begin = (one) => one.from_us || one.since_us;
  const end = (one) => Math.max(begin(one), one.to_us || one.told_us);
  const oldest = Math.min(...gaps.map(begin));
  const since = Math.min(Math.max(oldest, nowUs - 24 * 3600e6), nowUs - 60e6);
  const x = (us) => left + ((Math.min(Math.max(us, since), nowUs) - since) / (nowUs - since)) * (width - left - 10);
  const height = names.length * lane + 24;
  const label = `${gaps.length} gaps on ${names.length} streams since ${clock(since)} UTC: `
    + Object.keys(STATES).map((state) => [state, gaps.filter((one) => gapState(one) === state).length])
      .filter(([, count]) => count).map(([state, count]) => `${count} ${STATES[state]}`).join(", ");
  const lanes = names.map((name, at) => [
    svg("text", { x: 0, y: at * lane + 17, class: "lane-name" }, visible(name).slice(0, 18)),
    svg("line", { x1: left, x2: width - 10, y1: at * lane + 13, y2: at * lane + 13, class: "lane" }),
    gaps.filter((one) => one.stream === name).map((one) => svg("rect", {
      class: `gap gap-${gapState(one)}`, x: x(begin(one)).toFixed(1), y: at * lane + 5, rx: 2, height: 16,
      width: Math.max(5, x(end(one)) - x(begin(one))).toFixed(1),
    }, svg("title", {}, `${visible(one.symbol)}: ${one.missing ?? "some"} missing, ${gapWord(one)}`))),
  ]);
  const ticks = [0, 1, 2, 3, 4].map((at) => {
    const us = since + ((nowUs - since) * at) / 4;
    return svg("text", { x: x(us).toFixed(1), y: height - 4, class: "tick",
      "text-anchor": at === 0 ? "start" : at === 4 ? "end" : "middle" }, at === 4 ? "now" : clock(us));
  });
  return el("div", {},
    svg("svg", { class: "timeline", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, lanes, ticks),
    el("p", { class: "legend", "aria-hidden": "true" }, Object.entries(STATES).map(([state, word]) =>
      el("span", {}, svg("svg", { width: 10, height: 10 }, svg("rect", { class: `gap gap-${state}`, width: 10,
        height: 10, rx: 2 })), ` ${word}`))));
}

export const worst = (values) => {
  const known = values.filter((one) => one !== null && one !== undefined);
  return known.length ? Math.max(...known) : null;
};

