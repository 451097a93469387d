// Elements are made of tags, attributes and texts; nothing is ever parsed as markup. A page is made anew for each state
// and laid over the one that stands there, so that focus, selection and what is unfolded stay. All that is shown passes
// here: whatever a page forgot, what would turn or hide a text is written out.

import { visible } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "oninput", "onchange", "onsubmit", "ontoggle"];

const lines = (text) => String(text).split("\n").map(visible).join("\n");

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (HANDLERS.includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : visible(value));
  }
  for (const child of children.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(lines(child)));
  }
  return node;
}

export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);

// What the reader has done to an element is the reader's: unfolded parts, what stands in a field.
const kept = (node, name) =>
  (name === "open" && node.nodeName === "DETAILS") || (name === "value" && node.nodeName === "INPUT");

function attributes(old, now) {
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) {
    if (old[name] !== now[name]) old[name] = now[name];
  }
}

const key = (node) => (node.nodeType === 1 ? node.getAttribute("data-key") : null);
const alike = (old, now) => old.nodeName === now.nodeName && key(old) === key(now);

function morph(old, now) {
  if (!alike(old, now)) {
    old.replaceWith(now);
    return;
  }
  if (old.nodeType === 3) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  attributes(old, now);
  lay(old, [...now.childNodes]);
}

// Lays nodes over the children of an element. Those with a key keep their element, wherever they go.
export function lay(parent, nodes) {
  const known = new Map();
  for (const child of parent.childNodes) {
    if (key(child)) known.set(key(child), child);
  }
  let at = parent.firstChild;
  for (const now of nodes) {
    const own = key(now) ? known.get(key(now)) : null;
    if (own && alike(own, now)) {
      if (own !== at) parent.insertBefore(own, at);
      else at = at.nextSibling;
      morph(own, now);
    } else if (at && !key(at) && !key(now)) {
      const next = at.nextSibling;
      morph(at, now);
      at = next;
    } else {
      parent.insertBefore(now, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

export function table(caption, columns, rows, attributes = {}) {
  const heads = columns.map((one) =>
    el("th", { scope: "col", class: one.class, "aria-sort": one.sorted }, one.head ?? one.name));
  return el("div", { class: "scroll", role: "group", "aria-label": caption, tabindex: "0" },
    el("table", attributes, el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
}

export const section = (title, ...children) => {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return el("section", { "data-key": id, "aria-labelledby": id }, el("h2", { id }, title), children);
};
