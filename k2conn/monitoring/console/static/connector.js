// The page of one connector: why it does as it does, and all that is known of it.

import { gapWord, sparkline, timeline, worst } from "./charts.js";
import { el, section, table } from "./dom.js";
import { ago, clock, milliseconds, NONE, plural, rate, seconds, symbolLink, visible, whole } from "./format.js";
import { lettersSection } from "./letters.js";
import { oddSection } from "./odd.js";
import { errors, graded, ledger, pill, tile, why } from "./parts.js";
import { wayPicture } from "./picture.js";

export const crumbs = (...words) => el("p", { class: "crumbs" }, el("a", { href: "#/" }, "Overview"),
  words.map((one) => [" / ", one]));

function tiles(found, curves) {
  const { connector, streams } = found;
  const name = connector.connector;
  const size = { width: 160, height: 34 };
  const p99 = worst(streams.map((one) => one.exchange_to_ack_ms.p99));
  return el("dl", { class: "tiles" },
    tile("Records per second", rate(connector.per_second), `${rate(connector.frames_per_second)} frames per second`,
      { curve: sparkline(curves.of(name, "rate"), "Records per second", rate, size) }),
    tile("Latency p99", milliseconds(p99), "exchange to durable",
      { curve: sparkline(curves.of(name, "p99"), "Latency", milliseconds, size) }),
    tile("Published", whole(connector.published), `of ${whole(connector.received)} received`,
      { grade: connector.received && !connector.published ? "bad" : "" }),
    tile("Dead letters", whole(connector.dead_letters), null, { grade: connector.dead_letters ? "warn" : "" }),
    tile("Gaps", whole(connector.gaps), `${whole(connector.missing)} missing, ${whole(connector.backfilled)} filled`,
      { grade: connector.missing ? "warn" : "" }),
    tile("Reconnects", whole(connector.reconnects), Object.entries(connector.reconnect_causes)
      .map(([cause, count]) => `${visible(cause)} ${count}`).join(", ")));
}

function streamTable(found) {
  const number = (name) => ({ name, class: "number" });
  const columns = [{ name: "Stream" }, { name: "State" }, number("Records/s"), number("p50"), number("p99"),
    { name: "Last record" }, number("Published"), number("Duplicates"), number("Dead letters"), number("Gaps"),
    number("Symbols")];
  return section("Streams", table("Streams", columns, found.streams.map((one) => el("tr", { "data-key": one.stream },
    el("td", {}, el("span", { class: "name venue" }, visible(one.stream)), el("br"), el("small", {}, visible(one.record))),
    el("td", {}, visible(one.state || NONE), one.reason ? el("small", {}, el("br"), visible(one.reason)) : null),
    el("td", { class: "number" }, rate(one.per_second)),
    el("td", { class: "number" }, milliseconds(one.exchange_to_ack_ms.p50)),
    el("td", { class: "number" }, milliseconds(one.exchange_to_ack_ms.p99)),
    el("td", {}, ago(one.last_received, found.board.at)),
    el("td", { class: "number" }, whole(one.published)),
    el("td", { class: "number" }, whole(one.duplicates)),
    el("td", { class: "number" }, graded(one.dead_letters, "bad")),
    el("td", { class: "number" }, graded(one.gaps, "warn")),
    el("td", { class: "number" }, whole(one.symbols), one.silent ? el("small", {}, ` ${whole(one.silent)} silent`) : null)))));
}

function socketTable(connector) {
  const number = (name) => ({ name, class: "number" });
  const columns = [{ name: "Socket" }, { name: "State" }, { name: "Host" }, number("Symbols"), number("Confirmed"),
    number("Refused"), { name: "Connected for" }, { name: "Last data" }];
  const more = connector.connections - connector.sockets.length;
  return section("Sockets", connector.sockets.length ? table("Sockets", columns, connector.sockets.map((one) =>
    el("tr", { "data-key": one.socket },
      el("td", { class: "name" }, visible(one.socket)),
      el("td", {}, pill(one.state === "live" ? "ok" : "bad", one.state),
        one.detail ? el("small", { class: "venue" }, el("br"), visible(one.detail)) : null),
      el("td", { class: "venue" }, visible(one.host ?? NONE)),
      el("td", { class: "number" }, whole(one.symbols)), el("td", { class: "number" }, whole(one.confirmed)),
      el("td", { class: "number" }, graded(one.refused, "bad")),
      el("td", {}, seconds(one.seconds_connected)), el("td", {}, one.seconds_since_data === null ? NONE
        : `${seconds(one.seconds_since_data)} ago`)))) : el("p", { class: "quiet" }, "No connection yet."),
  more > 0 ? el("p", { class: "quiet" }, `${plural(more, "more socket")}; the worst are shown.`) : null);
}

const SORTS = { symbol: "Name", state: "Worst first", rate: "Fastest first", dead_letters: "Dead letters", gaps: "Gaps",
  lag: "Slowest first" };

function symbolTable(found, asked, ask) {
  const { symbols } = found;
  const number = (name) => ({ name, class: "number" });
  const columns = [{ name: "Symbol" }, { name: "Stream" }, { name: "State" }, number("Records/s"), { name: "Latest" },
    number("Lag"), { name: "Last record" }, number("Dead letters"), number("Gaps")];
  const rows = symbols.rows.map((one) => el("tr", { "data-key": `${one.stream} ${one.symbol}` },
    el("td", {}, one.symbol === "-" ? "not known"
      : el("a", { class: "name venue", href: symbolLink(one.connector, one.symbol) }, visible(one.symbol))),
    el("td", { class: "venue" }, visible(one.stream)),
    el("td", {}, visible(one.state || NONE), one.reason ? el("small", {}, el("br"), visible(one.reason)) : null),
    el("td", { class: "number" }, rate(one.per_second)),
    el("td", { class: "venue" }, headline(one.fields)),
    el("td", { class: "number" }, milliseconds(one.lag_ms)),
    el("td", {}, ago(one.last_received, found.board.at)),
    el("td", { class: "number" }, graded(one.dead_letters, "bad")),
    el("td", { class: "number" }, graded(one.gaps, "warn"))));
  const last = Math.min(symbols.found, symbols.offset + symbols.limit);
  return section("Symbols",
    el("div", { class: "form" },
      el("label", {}, "Search", el("input", { type: "search", id: "symbol-filter", value: asked.symbol ?? "",
        onchange: (event) => ask({ ...asked, symbol: event.target.value, offset: 0 }) })),
      el("label", {}, "Order", el("select", { id: "symbol-sort",
        onchange: (event) => ask({ ...asked, sort: event.target.value, offset: 0 }) },
      Object.entries(SORTS).map(([name, word]) =>
        el("option", { value: name, selected: name === (asked.sort ?? "symbol") }, word))))),
    table("Symbols", columns, rows),
    el("div", { class: "pager" },
      el("button", { type: "button", disabled: !symbols.offset,
        onclick: () => ask({ ...asked, offset: Math.max(0, symbols.offset - symbols.limit) }) }, "Back"),
      el("button", { type: "button", disabled: last >= symbols.found,
        onclick: () => ask({ ...asked, offset: symbols.offset + symbols.limit }) }, "Next"),
      el("span", { class: "quiet" }, symbols.found ? `${symbols.offset + 1} to ${last} of ${whole(symbols.found)}` : "none")));
}

export function headline(fields) {
  return visible(Object.entries(fields).slice(0, 3).map(([name, value]) => `${name} ${value}`).join(", ")) || NONE;
}

export function gapsSection(gaps, at) {
  if (!gaps.length) return section("Gaps and backfills", el("p", { class: "quiet" }, "None."));
  const columns = [{ name: "Seen (UTC)" }, { name: "Stream" }, { name: "Symbol" }, { name: "Cause" },
    { name: "Missing", class: "number" }, { name: "Filled", class: "number" }, { name: "State" }];
  return section("Gaps and backfills", timeline(gaps, Date.parse(at) * 1000),
    table("Latest gaps", columns, gaps.slice(0, 10).map((one) => el("tr", { "data-key": one.gap },
      el("td", { class: "mono" }, clock(one.since_us)), el("td", { class: "venue" }, visible(one.stream)),
      el("td", { class: "venue" }, visible(one.symbol)), el("td", {}, visible(one.cause)),
      el("td", { class: "number" }, whole(one.missing)), el("td", { class: "number" }, whole(one.recovered)),
      el("td", {}, gapWord(one))))));
}

function drift(found) {
  return section("Protocol drift", found.changes.length ? [
    el("p", {}, `${plural(found.found, "change")} of the venue's messages since the start.`),
    el("ul", { class: "plain" }, found.changes.toReversed().map((one) => el("li", { class: "venue" },
      el("b", {}, visible(one.change)), ` in stream ${visible(one.stream ?? NONE)}: `,
      el("code", {}, visible(one.path ?? "")), " ",
      Object.entries(one).filter(([name, value]) => !["change", "stream", "path"].includes(name) && value !== null
        && !(Array.isArray(value) && !value.length)).map(([name, value]) =>
        el("span", { class: "quiet" }, `${visible(name)}: ${visible(typeof value === "string" ? value : JSON.stringify(value))} `))))),
  ] : el("p", { class: "quiet" }, "None: the messages are as they were."));
}

export function connectorPage(state, curves, asked, ask) {
  const found = state.connector;
  const { connector } = found;
  const examples = state.examples ?? { letters: [], gaps: [], way: null };
  const letters = connector.dead_letters || examples.letters.length
    ? lettersSection(examples.letters, connector.dead_letter_reasons) : null;
  return [
    crumbs(visible(connector.connector)),
    el("h1", {}, el("span", { class: "venue" }, visible(connector.connector)), pill(found.grade),
      el("a", { class: "crumbs", href: `#/tap?connector=${encodeURIComponent(connector.connector)}` }, "Watch live")),
    why(found.grade, found.why),
    tiles(found, curves),
    found.grade === "bad" ? letters : null,
    examples.way ? section("Way of the data", wayPicture(examples.way, connector, found.streams)) : null,
    ledger(connector, connector.balanced),
    found.grade === "bad" ? null : letters,
    streamTable(found),
    socketTable(connector),
    gapsSection(examples.gaps, found.board.at),
    symbolTable(found, asked, ask),
    state.odd ? oddSection(state.odd) : null,
    state.drift ? drift(state.drift) : null,
    errors(found.errors, false),
  ].filter(Boolean);
}
