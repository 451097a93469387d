// Records that were marked as odd: what about them, how far from what is usual, how often.

import { el, section, table } from "./dom.js";
import { clock, NONE, plural, visible, whole } from "./format.js";

const figure = (value, unit) => (value === null || value === undefined ? NONE : `${visible(value)} ${visible(unit)}`);

export function oddSection(found) {
  if (!found.records.length) return section("Odd records", el("p", { class: "quiet" }, "None."));
  const columns = [{ name: "Time (UTC)" }, { name: "What" }, { name: "Stream" }, { name: "Symbol" },
    { name: "Found", class: "number" }, { name: "Bound", class: "number" }, { name: "Times", class: "number" },
    { name: "Detail" }];
  return section("Odd records",
    el("p", {}, `${plural(found.found, "odd record")} of late. They are published as they are; none is dropped or changed.`),
    table("Odd records", columns, found.records.toReversed().map((one) => el("tr", { "data-key": `${one.record_message_id} ${one.kind}` },
      el("td", { class: "mono" }, clock(one.timestamp)), el("td", {}, visible(one.kind)),
      el("td", { class: "venue" }, visible(one.stream)), el("td", { class: "venue" }, visible(one.symbol)),
      el("td", { class: "number" }, figure(one.observed, one.unit)),
      el("td", { class: "number" }, figure(one.bound, one.unit)),
      el("td", { class: "number" }, whole(one.count)), el("td", { class: "venue" }, visible(one.detail ?? ""))))));
}
