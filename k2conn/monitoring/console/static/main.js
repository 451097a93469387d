// Which page, its state, and the way that comes from the process.

import { connectorPage } from "./connector.js";
import { Curves } from "./curves.js";
import { worst } from "./charts.js";
import { el, lay } from "./dom.js";
import { visible } from "./format.js";
import { loginPage } from "./login.js";
import { overviewPage } from "./overview.js";
import { curveName, priceOf, symbolPage } from "./symbol.js";
import { Tap } from "./tap.js";

const by = (id) => document.getElementById(id);
const main = by("main");
let curves = new Curves();
let state = {};
let asked = {};
let source = null;
let paused = false;
let session = null;
let lost = "";
let again = 0;
let drawn = "";

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...names] = path.split("/").map((one) => {
    try {
      return decodeURIComponent(one);
    } catch {
      return one;
    }
  });
  if (page === "connector" && names[0]) return { page, connector: names[0] };
  if (page === "symbol" && names[1]) return { page, connector: names[0], symbol: names[1] };
  if (page === "tap") return { page, query: new URLSearchParams(query) };
  return { page: "overview" };
}

let at = route();
const tap = new Tap(draw);

// -- what is shown

function nodes() {
  if (session?.status === 401) return loginPage(open, draw);
  if (session?.error) return [el("h1", {}, "Console"), el("p", { class: "note bad" }, visible(session.error))];
  if (at.page === "tap") return tap.page(session?.tap ?? "");
  if (state.missing) {
    return [el("h1", {}, "Not here"), el("p", { class: "note" },
      `No connector ${visible(state.missing.connector)} runs here.`, " ", el("a", { href: "#/" }, "Overview"))];
  }
  if (at.page === "overview" && state.overview) return overviewPage(state.overview, curves, draw);
  if (at.page === "connector" && state.connector) return connectorPage(state, curves, asked, ask);
  if (at.page === "symbol" && state.symbol) return symbolPage(state, curves, at.connector, at.symbol);
  return [el("p", { class: "quiet" }, "Waiting for the first figures.")];
}

function draw() {
  lay(main, nodes());
  const pages = [["Overview", "#/", "overview"], ["Live tap", "#/tap", "tap"]];
  lay(by("nav"), pages.map(([name, href, page]) =>
    el("a", { href, "aria-current": at.page === page ? "page" : null }, name)));
  const link = by("link");
  const now = paused ? "paused" : lost ? "lost" : source ? "live" : "";
  link.dataset.state = now;
  link.textContent = { paused: "Paused", lost, live: "Live" }[now] ?? "";
  by("pause").hidden = at.page === "tap";
  const name = at.symbol ?? at.connector ?? (at.page === "tap" ? "Live tap" : "Overview");
  const grade = state.overview?.rows[0]?.grade ?? state.connector?.grade;
  const sign = grade === "bad" ? "✖ " : grade === "warn" ? "▲ " : "";
  document.title = `${sign}${visible(name)} - k2conn console`;
  tell();
}

// Says aloud what has changed for the worse or the better, and nothing else.
function tell() {
  const text = lost || (state.overview ? main.querySelector(".headline")?.textContent : "")
    || (state.connector ? state.connector.why[0] ?? "Nothing is amiss." : "");
  if (text && text !== drawn) {
    drawn = text;
    by("said").textContent = visible(text);
  }
}

// -- where it comes from

function take(name, data) {
  state[name] = data;
  if (name === "history") curves.begin(data);
  for (const one of name === "overview" ? data.rows : []) {
    curves.add(one.connector, "rate", one.per_second);
    curves.add(one.connector, "p99", one.p99);
  }
  if (name === "connector") {
    curves.add(at.connector, "rate", data.connector.per_second);
    curves.add(at.connector, "p99", worst(data.streams.map((one) => one.exchange_to_ack_ms.p99)));
  }
  for (const row of name === "symbol" ? data.rows : []) {
    const price = priceOf(row);
    curves.add(curveName(row), "rate", row.per_second);
    curves.add(curveName(row), "lag", row.lag_ms);
    if (price) curves.add(curveName(row), "price", Number(price.text));
  }
  if (!paused) requestAnimationFrame(draw);
}

function close() {
  clearTimeout(again);
  source?.close();
  source = null;
}

function listen() {
  close();
  if (paused || at.page === "tap" || session?.status !== 200) return;
  const query = new URLSearchParams({ page: at.page });
  if (at.connector) query.set("connector", at.connector);
  if (at.symbol) query.set("symbol", at.symbol);
  for (const [name, value] of Object.entries(at.page === "connector" ? asked : {})) {
    if (value) query.set(name, value);
  }
  source = new EventSource(`/console/events?${query}`);
  for (const name of ["history", "overview", "connector", "symbol", "examples", "drift", "odd", "missing"]) {
    source.addEventListener(name, (event) => {
      lost = "";
      take(name, JSON.parse(event.data));
    });
  }
  source.onerror = () => {
    close();
    lost = "Connection lost, trying again";
    draw();
    again = setTimeout(open, 2000);
  };
}

async function open() {
  clearTimeout(again);
  const answer = await fetch("/console/session", { cache: "no-store" }).catch(() => null);
  if (!answer) {
    lost = "Connection lost, trying again";
    again = setTimeout(open, 2000);
  } else {
    session = { status: answer.status, ...(await answer.json()) };
    if (answer.ok) listen();
    else if (answer.status === 429 || answer.status === 503) again = setTimeout(open, 2000);
  }
  draw();
}

function ask(wanted) {
  asked = wanted;
  listen();
}

function go() {
  const before = JSON.stringify([at.page, at.connector, at.symbol]);
  at = route();
  if (at.page === "tap") tap.wants(at.query.get("connector"), at.query.get("symbol"));
  else tap.stop();
  if (before === JSON.stringify([at.page, at.connector, at.symbol])) return;
  state = {};
  asked = {};
  if (paused) pause(false);
  draw();
  listen();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function pause(value) {
  paused = value;
  by("pause").setAttribute("aria-pressed", String(value));
  listen();
  draw();
}

function theme(value) {
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
}

addEventListener("hashchange", go);
by("pause").onclick = () => pause(!paused);
by("skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
by("theme").onchange = (event) => {
  theme(event.target.value);
  try {
    localStorage.setItem("k2conn-theme", event.target.value);
  } catch { /* a browser that keeps nothing forgets it */ }
};
try {
  by("theme").value = localStorage.getItem("k2conn-theme") ?? "";
  theme(by("theme").value);
} catch { /* as above */ }
if (at.page === "tap") tap.wants(at.query.get("connector"), at.query.get("symbol"));
open();
