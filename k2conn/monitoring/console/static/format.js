// Numbers, times and texts for people. What a venue has said stays text, and what would turn or hide it is written out.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

export const NONE = "–";

export function visible(text) {
  return String(text).replace(ODD, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}

export function whole(number) {
  return number === null || number === undefined ? NONE : WHOLE.format(number);
}

export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number >= 100 || number === 0 ? WHOLE.format(number) : ONE.format(number);
}

export function milliseconds(number) {
  if (number === null || number === undefined) return NONE;
  if (number >= 60000) return seconds(number / 1000);
  return number >= 1000 ? `${ONE.format(number / 1000)} s` : number >= 10 ? `${WHOLE.format(number)} ms`
    : `${ONE.format(number)} ms`;
}

export function seconds(number) {
  if (number === null || number === undefined) return NONE;
  if (number < 60) return `${WHOLE.format(Math.max(0, number))} s`;
  if (number < 3600) return `${Math.floor(number / 60)} min ${Math.floor(number % 60)} s`;
  if (number < 86400) return `${Math.floor(number / 3600)} h ${Math.floor((number % 3600) / 60)} min`;
  return `${Math.floor(number / 86400)} d ${Math.floor((number % 86400) / 3600)} h`;
}

export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${at ? ONE.format(number) : WHOLE.format(number)} ${units[at]}`;
}

// Since when, by the clock of the process: ours may be another.
export function ago(time, at) {
  if (!time || !at) return NONE;
  const passed = (Date.parse(at) - Date.parse(time)) / 1000;
  return passed < 2 ? "now" : `${seconds(passed)} ago`;
}

export function clock(us) {
  if (!us) return NONE;
  const time = new Date(us / 1000);
  return Number.isNaN(time.getTime()) ? NONE : time.toISOString().slice(11, 19);
}

export const clockOf = (text) => (text ? text.slice(11, 19) : NONE);

export const plural = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

export const connectorLink = (name) => `#/connector/${encodeURIComponent(name)}`;
export const symbolLink = (connector, symbol) =>
  `#/symbol/${encodeURIComponent(connector)}/${encodeURIComponent(symbol)}`;
