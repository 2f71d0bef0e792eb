"use strict";
// All text goes through textContent. The server's policy (Trusted Types) refuses anything else.
const PATIENCE = 8000, SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Replaces the content, unless the reader has selected a part of it to copy.
function put(id, ...children) {
  const node = byId(id), selection = getSelection();
  if (!selection.isCollapsed && node.contains(selection.anchorNode)) return;
  node.replaceChildren(...children.flat().filter((child) => child !== null));
}

// Long names may break after a punctuation mark, and nowhere else.
const soft = (text) => h("span", {}, text.split(/(?<=[_.\/@:])/).flatMap((part, i) => i ? [h("wbr"), part] : [part]));
// Commands stand between backticks.
const prose = (text) => text.split("`").map((part, i) => i % 2 ? h("code", {}, part) : part);

// ---- numbers and times
function short(value, digits) {
  if (value === null) return "–";
  for (const [bound, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (value >= bound) return (value / (bound === 1e4 ? 1e3 : bound)).toFixed(1) + " " + unit;
  return value.toFixed(digits);
}
const count = (value) => value < 1e6 ? value.toLocaleString("en") : short(value, 0);
function duration(seconds) {
  const all = Math.max(0, Math.round(seconds)), part = (size) => Math.floor(all / size);
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${part(60)} min`;
  if (all < 86400) return `${part(3600)} h ${part(60) % 60} min`;
  return all < 86400 * 30 ? `${part(86400)} d ${part(3600) % 24} h` : `${part(86400)} d`;
}
const utc = (time) => time.slice(0, 16).replace("T", " ");
const clock = (time) => time.slice(11, 19);
const since = (time, now) => `${duration((now - Date.parse(time)) / 1000)} ago`;

// ---- tables
// Columns are [title, class, cell of a row]. On a phone each row is a block with its titles.
function table(columns, rows, stack) {
  const head = columns.map(([title, kind]) => h("th", { class: kind, scope: "col" }, title));
  const body = rows.map((row) => h("tr", {}, columns.map(([title, kind, cell]) => {
    const content = cell(row), own = content && content.kind;
    return h("td", { class: [kind, own].filter(Boolean).join(" ") || null, "data-label": title }, h("span", {}, own ? content.text : content));
  })));
  return h("table", { class: stack ? "stack" : null }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}
const marked = (kind, text) => ({ kind, text });
const none = (text) => h("p", { class: "none" }, ...[text].flat());
const more = (list, command) => list.total > list.rows.length
  ? none(prose(`and ${count(list.total - list.rows.length)} more: \`${command}\``)) : null;

// ---- the verdict
const SAYS = { ok: ["✓", "OK"], warning: ["!", "WARNING"], critical: ["✗", "CRITICAL"], unknown: ["?", "NO ANSWER"] };
let told = "";
function verdict(state, say, lines) {
  // A screen reader announces each change, so an unchanged verdict is left alone.
  const text = JSON.stringify([state, say, lines]);
  if (text === told) return;
  told = text;
  const node = byId("verdict"), [sign, word] = SAYS[state] || ["?", state.toUpperCase()];
  node.className = `verdict ${state}`;
  node.replaceChildren(
    h("div", { class: "head" }, h("span", { class: "word" }, `${sign} ${word}`), h("span", { class: "say" }, say)),
    h("ul", {}, lines.map(([mark, line]) => h("li", {}, h("b", {}, mark), prose(line)))));
}

const KINDS = { server_certificate: "server certificate", client_ca: "client CA", crl: "revocation list", fleet_certificate: "certificate for the fleet", fleet_ca: "CA of the fleet's etcd" };
// The bar is what is left of the next 90 days.
function remaining(notAfter, now) {
  const days = (Date.parse(notAfter) - now) / 86400000, width = 72;
  if (days < 0) return marked("is-crit", `✗ expired ${since(notAfter, now)}`);
  const filled = Math.min(1, days / 90) * width, soon = days < 14;
  const bar = s("svg", { width, height: 8, "aria-hidden": "true" }, s("rect", { class: "bar", x: 0, y: 1, width, height: 6 }),
    s("rect", { class: soon ? "bar-soon" : "bar-left", x: 0, y: 1, width: filled, height: 6 }));
  const text = h("span", {}, `${soon ? "! " : ""}${duration(days * 86400)}`, h("br"), bar);
  return soon ? marked("is-warn", text) : text;
}
// A large value with its name and unit.
const fact = (name, value, unit, kind) => h("div", {}, h("dt", {}, name), h("dd", { class: kind }, value, h("small", {}, unit)));

// ---- the loop
let paused = false, last = null;

// Asks for the data at `path` every `period` milliseconds. `show` gets them, `lost` the reason why
// there are none.
function follow(path, period, show, lost) {
  async function poll() {
    if (!paused) {
      let data;
      try {
        const answer = await fetch(path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        data = await answer.json();
      } catch (error) {
        document.title = "? aop";
        document.body.classList.add("stale");
        put("beat", "no answer");
        lost(error.message);
      }
      if (data) { last = data; document.body.classList.remove("stale"); show(data); }
    }
    setTimeout(poll, period);
  }
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").textContent = paused ? "Resume" : "Pause";
    byId("pause").setAttribute("aria-pressed", paused);
    if (paused) put("beat", "paused");
  });
  poll();
}
