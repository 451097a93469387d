// The first page: what is healthy, and what is not.

import { sparkline, worst } from "./charts.js";
import { el, section, table } from "./dom.js";
import { ago, bytes, connectorLink, milliseconds, NONE, plural, rate, seconds, visible, whole } from "./format.js";
import { errors, graded, ledger, pill, tile } from "./parts.js";

const GRADES = ["ok", "starting", "warn", "bad"];
const shown = { sort: "grade", down: true, filter: "" };

const KEYS = {
  grade: (one) => GRADES.indexOf(one.grade),
  connector: (one) => one.connector,
  per_second: (one) => one.per_second ?? -1,
  p99: (one) => one.p99 ?? -1,
  last: (one) => one.last_received ?? "",
  dead_letters: (one) => one.dead_letters,
  gaps: (one) => one.gaps,
  reconnects: (one) => one.reconnects,
};

function sorted(rows) {
  const by = KEYS[shown.sort];
  const sign = shown.down ? -1 : 1;
  const wanted = shown.filter.toLowerCase();
  return rows.filter((one) => `${one.connector} ${one.exchange}`.toLowerCase().includes(wanted))
    .sort((one, other) => (by(one) < by(other) ? -sign : by(one) > by(other) ? sign
      : one.connector < other.connector ? -1 : 1));
}

function verdict(rows, board) {
  const bad = rows.filter((one) => one.grade === "bad");
  const warn = rows.filter((one) => one.grade === "warn");
  const starting = rows.filter((one) => one.grade === "starting");
  const grade = bad.length ? "bad" : warn.length ? "warn" : starting.length ? "starting" : "ok";
  const of = rows.length === 1 ? "connector" : "connectors";
  const text = !rows.length ? (board.workers ? "No worker answers yet." : "No connector runs here: records come from topics.")
    : bad.length ? `${bad.length} of ${rows.length} ${of} broken`
      : warn.length ? `${warn.length} of ${rows.length} ${of} degraded`
        : starting.length ? `${starting.length} of ${rows.length} ${of} starting` : `All ${rows.length} ${of} well`;
  const amiss = [...bad, ...warn].slice(0, 8);
  return el("section", { class: `verdict ${grade}`, "aria-label": "State" },
    el("p", { class: "headline" }, pill(grade, text)),
    amiss.length ? el("ul", {}, amiss.map((one) => el("li", { "data-key": one.connector },
      el("a", { href: connectorLink(one.connector) }, visible(one.connector)), ": ",
      el("span", { class: "venue" }, visible(one.why[0] ?? ""))))) : null,
    bad.length + warn.length > 8 ? el("p", { class: "quiet" }, `and ${bad.length + warn.length - 8} more below`) : null);
}

function tiles(found, curves) {
  const { board, totals, rows } = found;
  const spool = board.sink.spool;
  const slowest = worst(rows.map((one) => one.p99));
  const live = rows.filter((one) => one.state === "live").length;
  return el("dl", { class: "tiles" },
    tile("Records per second", rate(board.per_second), "received",
      { curve: sparkline(curves.total("rate"), "Records per second", rate, { width: 160, height: 34 }) }),
    tile("Slowest stream, p99", milliseconds(slowest), "from the exchange's time to durable"),
    tile("Connected", `${live} / ${rows.length}`, "connectors", { grade: live < rows.length ? "bad" : "" }),
    tile("Dead letters", whole(totals.dead_letters), null, { grade: totals.dead_letters ? "warn" : "" }),
    tile("Gaps", whole(totals.gaps), `${whole(totals.missing)} records missing`, { grade: totals.missing ? "warn" : "" }),
    tile(`Sink ${visible(board.sink.name)}`, board.sink.reachable === false ? "away" : plural(board.sink.queued, "record"),
      spool ? `waiting; spool ${bytes(spool.bytes)} of ${bytes(spool.max_bytes)}` : "waiting",
      { grade: board.sink.reachable === false ? "bad" : "" }),
    tile("Process", board.memory_mb === null ? NONE : `${whole(board.memory_mb)} MiB`, `up ${seconds(board.uptime_seconds)}`));
}

function head(key, name, redraw) {
  const own = shown.sort === key;
  return {
    class: ["connector", "grade", "last"].includes(key) ? "" : "number",
    sorted: own ? (shown.down ? "descending" : "ascending") : undefined,
    head: el("button", { type: "button", onclick: () => {
      shown.down = own ? !shown.down : key !== "connector";
      shown.sort = key;
      redraw();
    } }, name),
  };
}

function connectors(found, curves, redraw) {
  const columns = [
    head("grade", "State", redraw), head("connector", "Connector", redraw), head("per_second", "Records/s", redraw),
    { name: "Last minutes", class: "" }, head("p99", "Latency p99", redraw), { name: "Last minutes", class: "" },
    head("last", "Last record", redraw), head("dead_letters", "Dead letters", redraw), head("gaps", "Gaps", redraw),
    head("reconnects", "Reconnects", redraw), { name: "Why", class: "" },
  ];
  const rows = sorted(found.rows).map((one) => el("tr", { "data-key": one.connector, class: one.grade },
    el("td", {}, pill(one.grade)),
    el("td", {}, el("a", { class: "name", href: connectorLink(one.connector) }, visible(one.connector)),
      el("br"), el("small", {}, `${plural(one.symbols, "symbol")}${one.drift ? `, ${one.drift} drift` : ""}${one.odd ? `, ${one.odd} odd` : ""}`)),
    el("td", { class: "number" }, rate(one.per_second)),
    el("td", { class: "curve" }, sparkline(curves.of(one.connector, "rate"), `${one.connector}: records per second`, rate)),
    el("td", { class: "number" }, milliseconds(one.p99)),
    el("td", { class: "curve" },
      sparkline(curves.of(one.connector, "p99"), `${one.connector}: latency`, milliseconds)),
    el("td", {}, ago(one.last_received, found.board.at)),
    el("td", { class: "number" }, graded(one.dead_letters, "warn")),
    el("td", { class: "number" }, graded(one.gaps, "warn")),
    el("td", { class: "number" }, whole(one.reconnects)),
    el("td", { class: "why venue" }, visible(one.why[0] ?? ""))));
  return section("Connectors",
    el("div", { class: "form" }, el("label", {}, "Filter", el("input", { type: "search", id: "filter", oninput: (event) => {
      shown.filter = event.target.value;
      redraw();
    } }))),
    table("Connectors", columns, rows, { class: "connectors" }));
}

// The group of which the process is a member: who is heard, and what each of them owns and carries.
function group(one) {
  const amiss = [
    [one.without_owner.length, "without an owner"], [one.not_carried.length, "that nobody has subscribed"],
    [one.lost, "carried here until their new owner does"], [one.warm, "subscribed here, until their old owner has ended them"],
  ].filter(([count]) => count).map(([count, words]) => `${plural(count, "slot")} ${words}`);
  const columns = [
    { name: "Member" }, { name: "Slots", class: "number" }, { name: "Carried", class: "number" },
    { name: "Unsent", class: "number" }, { name: "Heard", class: "number" }, { name: "Host" }, { name: "Version" },
  ];
  const rows = one.members.map((member) => el("tr", { "data-key": member.instance },
    el("td", {}, visible(member.instance), member.instance === one.instance ? el("small", {}, " this one") : null),
    el("td", { class: "number" }, whole(member.owned)),
    el("td", { class: "number" }, member.carrying < member.owned
      ? el("span", { class: "warn" }, whole(member.carrying)) : whole(member.carrying)),
    el("td", { class: "number" }, whole(member.unsent)),
    el("td", { class: "number" }, `${seconds(member.heard_ago)} ago`),
    el("td", {}, visible(member.host)), el("td", {}, visible(member.version))));
  return section("Group",
    el("p", {}, `${visible(one.name)}: ${plural(one.members.length, "member")}, ${plural(one.slots, "slot")};`
      + ` ${plural(one.moves, "slot")} came or went here, ${whole(one.fenced)} taken over by another process.`),
    amiss.length ? el("ul", { class: "plain" }, amiss.map((text) => el("li", {}, text))) : null,
    table("Group", columns, rows));
}

export function overviewPage(found, curves, redraw) {
  const { board } = found;
  const waiting = [...new Set([...board.waiting_for, ...board.degraded_by])];
  return [
    el("h1", { class: "hidden" }, "Overview"),
    verdict(found.rows, board),
    tiles(found, curves),
    connectors(found, curves, redraw),
    board.group ? group(board.group) : null,
    ledger(found.totals),
    waiting.length ? section("What /health says", el("ul", { class: "plain" },
      waiting.map((one) => el("li", { class: "venue" }, visible(one))))) : null,
    errors(found.errors, true),
  ].filter(Boolean);
}
