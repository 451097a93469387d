// The plan as a picture: which sockets carry which streams, and to which topics these go.

import { el, svg } from "./dom.js";
import { plural, visible, whole } from "./format.js";

const BOX = { width: 250, height: 40, apart: 12 };
const COLUMNS = [0, 375, 750];
const MOST = 12;

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function box(x, y, title, small, style) {
  return svg("g", {}, svg("title", {}, `${title}: ${small}`),
    svg("rect", { class: `box ${style}`, x, y, width: BOX.width, height: BOX.height, rx: 6 }),
    svg("text", { x: x + 10, y: y + 17 }, short(title, 34)),
    svg("text", { x: x + 10, y: y + 32, class: "small" }, short(small, 38)));
}

function edge(from, to, style = "") {
  const middle = (from.x + to.x) / 2;
  return svg("path", { class: `edge ${style}`, d: `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}` });
}

const right = (column, y) => ({ x: COLUMNS[column] + BOX.width, y: y + BOX.height / 2 });
const left = (column, y) => ({ x: COLUMNS[column], y: y + BOX.height / 2 });

// The connection that a socket is of: `main-0`, with replicas `main-0.1`, with workers `2/main-0`.
const connectionOf = (socket) => socket.replace(/^\d+\//, "").replace(/-\d+(\.\d+)?$/, "");

export function wayPicture(way, connector, streams) {
  const sockets = connector.sockets.slice(0, MOST);
  const figures = new Map(streams.map((one) => [one.stream, one]));
  const shown = way.streams.slice(0, MOST);
  const topics = [];
  for (const one of shown) {
    for (const topic of one.topics) topics.push({ topic, stream: one.stream, dead: false });
    const dead = figures.get(one.stream)?.dead_letters ?? 0;
    if (dead) topics.push({ topic: one.topics[0] + way.dead, stream: one.stream, dead: true, count: dead });
  }
  topics.splice(MOST);
  const step = BOX.height + BOX.apart;
  const rows = Math.max(sockets.length, shown.length, topics.length, 1);
  const y = (at, count) => 24 + at * step + ((rows - count) * step) / 2;
  const place = new Map(shown.map((one, at) => [one.stream, y(at, shown.length)]));
  const edges = [];
  sockets.forEach((socket, at) => {
    const own = way.connections.find((one) => one.connection === connectionOf(socket.socket));
    for (const name of own ? own.streams : []) {
      if (place.has(name)) edges.push(edge(right(0, y(at, sockets.length)), left(1, place.get(name))));
    }
  });
  topics.forEach((one, at) =>
    edges.push(edge(right(1, place.get(one.stream)), left(2, y(at, topics.length)), one.dead ? "dead" : "")));
  const boxes = [
    sockets.map((one, at) => box(COLUMNS[0], y(at, sockets.length), `socket ${visible(one.socket)}`,
      `${one.state}, ${plural(one.symbols, "symbol")}, ${whole(one.confirmed)} confirmed`, one.state === "live" ? "ok" : "bad")),
    shown.map((one, at) => {
      const said = figures.get(one.stream);
      const style = !said || !said.received ? "warn" : said.published ? "ok" : "bad";
      return box(COLUMNS[1], y(at, shown.length), `stream ${visible(one.stream)}`,
        said ? `${whole(said.published)} published, ${whole(said.dead_letters)} dead` : one.record, style);
    }),
    topics.map((one, at) => box(COLUMNS[2], y(at, topics.length), visible(one.topic),
      one.dead ? `dead letters ${whole(one.count)}` : `topic of ${visible(one.stream)}`, one.dead ? "bad" : "")),
  ];
  const heads = ["Sockets", "Streams", "Topics"].map((name, at) =>
    svg("text", { class: "head", x: COLUMNS[at], y: 12 }, name));
  const width = COLUMNS[2] + BOX.width;
  const words = way.connections.map((one) => `connection ${one.connection} carries ${one.streams.join(", ")}`)
    .concat(shown.map((one) => `stream ${one.stream} goes to ${one.topics.join(", ")}`)).map(visible);
  const more = connector.connections > sockets.length ? `${connector.connections - sockets.length} more sockets are not shown. ` : "";
  return el("div", {},
    svg("svg", { class: "way", viewBox: `-1 0 ${width + 2} ${24 + rows * step}`, role: "img",
      "aria-label": `Sockets, streams and topics: ${words.join("; ")}` }, heads, edges, boxes),
    el("p", { class: "quiet" }, more, `Gaps go to ${visible(way.gaps)}.`));
}
