// The page of one symbol: its price, and how each of its streams does.

import { sparkline } from "./charts.js";
import { crumbs, gapsSection } from "./connector.js";
import { el, section } from "./dom.js";
import { ago, connectorLink, milliseconds, rate, visible, whole } from "./format.js";
import { lettersSection } from "./letters.js";
import { oddSection } from "./odd.js";
import { pill, tile, why, WORDS } from "./parts.js";

// The fields of a record whose course is worth a curve, by how telling they are.
const PRICES = ["price", "close", "bid_price", "ask_price"];

export function priceOf(row) {
  const name = PRICES.find((one) => row.fields[one] !== undefined);
  return name ? { name, text: row.fields[name] } : null;
}

export const curveName = (row) => `${row.connector} ${row.stream} ${row.symbol}`;

function stream(row, curves, at) {
  const price = priceOf(row);
  const name = curveName(row);
  const size = { width: 160, height: 34 };
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 8 });
  return section(`Stream ${row.stream}`,
    row.state ? el("p", {}, pill(row.state === "live" ? "ok" : "warn", row.state), " ", visible(row.reason)) : null,
    el("dl", { class: "tiles" },
      price ? tile(price.name.replaceAll("_", " "), visible(price.text), null,
        { curve: sparkline(curves.of(name, "price"), "Price", number, { ...size, fromZero: false }) }) : null,
      tile("Records per second", rate(row.per_second), null,
        { curve: sparkline(curves.of(name, "rate"), "Records per second", rate, size) }),
      tile("Lag", milliseconds(row.lag_ms), "exchange to durable",
        { curve: sparkline(curves.of(name, "lag"), "Lag", milliseconds, size) }),
      tile("Last record", ago(row.last_received, at)),
      tile("Published", whole(row.published), `of ${whole(row.received)} received`),
      tile("Dead letters", whole(row.dead_letters), null, { grade: row.dead_letters ? "bad" : "" }),
      tile("Gaps", whole(row.gaps), `${whole(row.missing)} missing`, { grade: row.missing ? "warn" : "" })),
    el("dl", { class: "facts" }, Object.entries(row.fields).map(([field, value]) =>
      [el("dt", {}, visible(field)), el("dd", { class: "mono venue" }, visible(value))])));
}

export function symbolPage(state, curves, name, symbol) {
  const found = state.symbol;
  const examples = state.examples ?? { letters: [], gaps: [] };
  // Prices first; what is only counted, last.
  const rows = found.rows.toSorted((one, other) => Boolean(priceOf(other)) - Boolean(priceOf(one)));
  const tap = `#/tap?connector=${encodeURIComponent(name)}&symbol=${encodeURIComponent(symbol)}`;
  return [
    crumbs(el("a", { href: connectorLink(name) }, visible(name)), visible(symbol)),
    el("h1", {}, el("span", { class: "venue" }, visible(symbol)), pill(found.grade, `connector ${WORDS[found.grade]}`),
      el("a", { class: "crumbs", href: tap }, "Watch live")),
    found.grade === "ok" || found.grade === "starting" ? null : why(found.grade, found.why),
    rows.length ? rows.map((row) => stream(row, curves, found.board.at))
      : el("p", { class: "note" }, "Nothing of this symbol has come yet."),
    gapsSection(examples.gaps, found.board.at),
    state.odd?.records.length ? oddSection(state.odd) : null,
    examples.letters.length ? lettersSection(examples.letters, {}) : null,
  ].flat().filter(Boolean);
}
