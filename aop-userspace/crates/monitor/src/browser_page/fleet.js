const PERIOD = 5000, WIDE = 60, MIDDLE = 400, OLD = 30;

// ---- the verdict and the sums
// For one host, and for several.
const WHAT = {
  critical: ["does not serve, or does not filter packets", "do not serve, or do not filter packets"],
  silent: ["has reported before, and is silent", "have reported before, and are silent"],
  unclear: ["is unclear", "are unclear"], warning: ["has warnings", "have warnings"],
};
const MARKS = { critical: "✗", silent: "○", unclear: "?", warning: "!", ok: "✓" };
const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
const some = (most, names, total) => names.slice(0, most).join(", ") + (total > most ? ` and ${count(total - most)} more` : "");
function stateOf({ sums, orders, warnings }) {
  if (sums.critical > 0) return "critical";
  const bad = warnings.length + sums.silent + sums.unclear + sums.warning + orders.rows.filter((it) => it.stopped.total > 0 || !it.genuine).length;
  return bad > 0 || sums.hosts === 0 || sums.packets.observe > 0 || sums.sites.observe > 0 ? "warning" : "ok";
}
function headline({ sums }) {
  if (sums.hosts === 0) return "No host: none has reported, or none is meant by --host and --label.";
  const reporting = sums.packets.enforce + sums.packets.observe;
  return `${count(sums.packets.enforce)} of ${many(sums.hosts, "host")} enforce${sums.packets.observe ? `, ${count(sums.packets.observe)} observe` : ""}${reporting < sums.hosts ? `, ${count(sums.hosts - reporting)} not known` : ""}.`;
}
function reasonsOf(fleet) {
  const lines = [];
  for (const state of ["critical", "silent", "unclear", "warning"]) {
    const rows = fleet.hosts.rows.filter((it) => it.state === state), total = fleet.sums[state];
    if (total === 0) continue;
    const why = total === 1 && rows[0] && rows[0].why ? `: ${rows[0].why}` : "";
    lines.push([MARKS[state], `${many(total, "host")} ${WHAT[state][total === 1 ? 0 : 1]} (${some(4, rows.map((it) => it.name), total)})${why}`]);
  }
  for (const order of fleet.orders.rows) {
    if (!order.genuine) lines.push(["!", `Order ${order.serial} is not signed by an operator of this configuration.`]);
    if (order.stopped.total) lines.push(["!", `Order ${order.serial} was stopped at ${many(order.stopped.total, "host")} (${some(4, order.stopped.rows.map((it) => it.host), order.stopped.total)}).`]);
  }
  for (const warning of fleet.warnings) lines.push(["!", warning]);
  if (fleet.unreadable) lines.push(["!", `${many(fleet.unreadable, "key")} in etcd cannot be read.`]);
  return lines;
}
function showVerdict(data) {
  const { fleet, failing_since: failing, error } = data;
  if (!fleet) {
    verdict("unknown", failing ? `etcd has not been read since ${clock(failing)} UTC.` : "etcd has not been read yet.", error ? [["?", error]] : []);
    return;
  }
  const age = (Date.parse(data.now) - Date.parse(fleet.at)) / 1000;
  if (failing) verdict("unknown", `etcd has not been read since ${clock(failing)} UTC. The rest is old: it is of ${clock(fleet.at)} UTC.`, [["?", error]]);
  else if (age > OLD) verdict("unknown", `etcd does not answer. The rest is old: it is of ${clock(fleet.at)} UTC.`, []);
  else return verdict(stateOf(fleet), headline(fleet), reasonsOf(fleet));
  document.body.classList.add("stale");
}
function showFacts({ sums, waiting }) {
  const reporting = sums.packets.enforce + sums.packets.observe, sites = sums.sites.enforce + sums.sites.observe;
  const bad = (number, kind) => number > 0 ? kind : null;
  put("facts",
    fact("hosts", count(sums.hosts), `${count(sums.ok)} ok, ${count(sums.warning)} with warnings`),
    fact("packets", `${count(sums.packets.enforce)} of ${count(reporting)}`, "reporting hosts enforce", bad(sums.packets.observe, "is-warn")),
    fact("sites", `${count(sums.sites.enforce)} of ${count(sites)}`, "enforce", bad(sums.sites.observe, "is-warn")),
    fact("critical", count(sums.critical), "do not serve or guard", bad(sums.critical, "is-crit")),
    fact("silent", count(sums.silent), sums.unclear ? `and ${count(sums.unclear)} unclear` : "no report for 40 s", bad(sums.silent + sums.unclear, "is-crit")),
    fact("waiting", count(sums.pending), waiting.rows[0] ? `the first until ${clock(waiting.rows[0].pending.until)}` : "for a confirmation", bad(sums.pending, "is-warn")),
    fact("versions", count(sums.versions), sums.versions > 1 ? "of aop at once" : "of aop"),
    fact("prefix lists", count(sums.lists), sums.lists > 1 ? "at once" : "in force"));
}

// ---- the grid: a group for each state, a cell for each host. Cells are kept, so that the focus
// stays where it is, and only those that changed are made again.
const cells = new Map(), groups = new Map();
let filter = "", selected = null;
const describe = (row) => [row.mode ? (row.waits ? `${row.mode}, waits for a confirmation` : row.mode) : null,
  row.sites_observing ? `${many(row.sites_observing, "site")} observe` : null, row.why && row.why.replaceAll("`", "")].filter(Boolean).join(" · ");
function cellOf(row) {
  const text = JSON.stringify(row);
  let cell = cells.get(row.name);
  if (cell && cell.text === text) return cell;
  if (!cell) {
    const node = h("button", { type: "button", tabindex: -1 });
    node.dataset.host = row.name;
    cell = { node };
    cells.set(row.name, cell);
  }
  const more = describe(row), said = [row.state, more].filter(Boolean).join(" · ");
  Object.assign(cell, { text, row, more, said, size: null, searched: `${row.name} ${said}`.toLowerCase() });
  const marks = ["cell", row.mode && row.mode !== "enforce" || row.sites_observing ? "observes" : null, row.waits ? "waits" : null];
  cell.node.className = marks.filter(Boolean).join(" ");
  cell.node.setAttribute("aria-label", `${row.name} · ${said}`);
  return cell;
}
// Of ten thousand hosts, each has a sign alone.
function write(cell, size) {
  if (cell.size === size) return;
  cell.size = size;
  const { row, more } = cell, sign = MARKS[row.state] || "?";
  if (size === "small") cell.node.replaceChildren(sign);
  else cell.node.replaceChildren(h("span", { class: "title" }, h("span", { class: "sign" }, sign), row.name), ...(size === "wide" ? [h("span", { class: "more" }, more)] : []));
}
function groupOf(state) {
  if (!groups.has(state)) {
    const title = h("h3", {}), box = h("div", {});
    groups.set(state, { node: h("div", { class: "group" }, title, box), title, box });
  }
  return groups.get(state);
}
function showHosts({ hosts }) {
  const byState = new Map(), present = new Set();
  for (const row of hosts.rows) {
    present.add(row.name);
    const cell = cellOf(row);
    if (filter && !cell.searched.includes(filter)) continue;
    if (!byState.has(row.state)) byState.set(row.state, []);
    byState.get(row.state).push(cell);
  }
  for (const name of [...cells.keys()]) if (!present.has(name)) cells.delete(name);
  const order = [], wide = innerWidth < 640 ? 12 : WIDE;
  for (const [state, some] of byState) {
    const { node, title, box } = groupOf(state), nodes = some.map((cell) => cell.node);
    const size = nodes.length <= wide ? "wide" : nodes.length <= MIDDLE ? "middle" : "small";
    some.forEach((cell) => write(cell, size));
    title.textContent = `${MARKS[state] || "?"} ${state}: ${many(nodes.length, "host")}`;
    box.className = `cells ${size} t-${state in MARKS ? state : "unclear"}`;
    // Nodes that are in their places are not touched.
    if (box.childNodes.length !== nodes.length || nodes.some((it, i) => box.childNodes[i] !== it)) box.replaceChildren(...nodes);
    order.push(node);
  }
  const holder = byId("hosts"), focused = document.activeElement;
  if (order.length === 0) holder.replaceChildren(none(filter ? "No host fits." : "No host."));
  else if (holder.childNodes.length !== order.length || order.some((it, i) => holder.childNodes[i] !== it)) holder.replaceChildren(...order);
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
  const shown = [...byState.values()].reduce((sum, it) => sum + it.length, 0);
  byId("hosts-shown").textContent = filter ? `${count(shown)} of ${count(hosts.total)}` : `${count(hosts.total)}, the worst first${hosts.total > hosts.rows.length ? `; the first ${count(hosts.rows.length)} are shown` : ""}`;
  if (!holder.querySelector('[tabindex="0"]')) {
    const first = holder.querySelector(".cell");
    if (first) first.tabIndex = 0;
  }
}
const key = (kind, sign, text) => h("span", {}, h("span", { class: `cell ${kind}` }, sign), text);
byId("key").replaceChildren(...Object.entries(MARKS).map(([state, sign]) => key("", sign, state)),
  key("", "", "enforces"), key("observes", "", "observes, or a site of it does"), key("waits", "", "waits for a confirmation"));

// One cell can be reached with Tab; the arrow keys move on from there.
function point(node) {
  const before = byId("hosts").querySelector('[tabindex="0"]');
  if (before && before !== node) before.tabIndex = -1;
  node.tabIndex = 0;
  pointAt(node);
}
function pointAt(node) {
  const cell = cells.get(node.dataset.host);
  byId("pointed").textContent = cell ? `${cell.row.name} · ${cell.said}` : "";
}
function below(node, all, at, step) {
  const box = node.getBoundingClientRect(), middle = box.left + box.width / 2;
  for (let i = at + step, top = null, best = null; ; i += step) {
    const other = all[i] && all[i].getBoundingClientRect();
    if (best && (!other || other.top !== top)) return best;
    if (!other) return null;
    if (Math.abs(other.top - box.top) < 2) continue;
    top = other.top;
    const far = (it) => { const its = it.getBoundingClientRect(); return Math.abs(its.left + its.width / 2 - middle); };
    if (!best || far(all[i]) < far(best)) best = all[i];
  }
}
byId("hosts").addEventListener("keydown", (event) => {
  const node = event.target.closest(".cell");
  if (!node) return;
  const all = [...byId("hosts").querySelectorAll(".cell")], at = all.indexOf(node);
  const next = { ArrowRight: () => all[at + 1], ArrowLeft: () => all[at - 1], Home: () => all[0], End: () => all[all.length - 1],
    ArrowDown: () => below(node, all, at, 1), ArrowUp: () => below(node, all, at, -1) }[event.key];
  if (!next) return;
  event.preventDefault();
  const found = next();
  if (found) found.focus();
});
byId("hosts").addEventListener("focusin", (event) => { const node = event.target.closest(".cell"); if (node) point(node); });
byId("hosts").addEventListener("pointerover", (event) => { const node = event.target.closest(".cell"); if (node) pointAt(node); });
byId("hosts").addEventListener("click", (event) => { const node = event.target.closest(".cell"); if (node) open(node.dataset.host); });
byId("filter").addEventListener("input", () => {
  filter = byId("filter").value.trim().toLowerCase();
  if (last && last.fleet) showHosts(last.fleet);
});

// ---- one host
function open(name) {
  if (selected && cells.get(selected)) cells.get(selected).node.removeAttribute("aria-current");
  selected = name;
  cells.get(name).node.setAttribute("aria-current", "true");
  byId("host-card").hidden = false;
  byId("host-name").textContent = name;
  put("host", none("…"));
  byId("host-card").scrollIntoView({ block: "nearest" });
  showHost();
}
function close() {
  if (!selected) return;
  const cell = cells.get(selected);
  selected = null;
  byId("host-card").hidden = true;
  if (cell) { cell.node.removeAttribute("aria-current"); cell.node.focus(); }
}
byId("close").addEventListener("click", close);
addEventListener("keydown", (event) => { if (event.key === "Escape" && event.target !== byId("filter")) close(); });
async function showHost() {
  const name = selected;
  if (!name) return;
  let found = null, why = "it is not there any more";
  try {
    const answer = await fetch(`/fleet.json?host=${encodeURIComponent(name)}`, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.ok) found = (await answer.json()).hosts[0];
    else why = (await answer.text()).trim();
  } catch (error) { why = error.message; }
  if (name !== selected) return;
  if (!found) return put("host", none(`No details: ${why}`));
  put("host", details(found));
}
const sums = (rows) => (rows || []).map((row) => `${count(row.count)} ${row.reason}`).join(", ");
function details(host) {
  const report = host.report, now = Date.parse(last.now);
  const pairs = [["state", host.state], ["last report", host.last_seen ? `${since(host.last_seen, now)} (${utc(host.last_seen)})` : "not known"]];
  const reasons = host.reasons.length ? [h("ul", { class: "why" }, host.reasons.map((why) => h("li", {}, prose(why))))] : [];
  const list = (rows) => h("dl", { class: "pairs" }, rows.filter((row) => row[1]).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  if (!report) return [...reasons, list(pairs), none(prose(host.state === "silent" ? "If it is gone for good: `aop fleet forget`." : "There: `aop status`."))];
  pairs.push(["version", report.version], ["labels", Object.entries(report.labels || {}).map(([name, value]) => `${name}=${value}`).join(" ") || "none"],
    ["up", duration(report.uptime_seconds)], ["packets", report.mode], ["overrides", (report.overrides || []).join("; ")],
    ["waits", report.pending ? `until ${clock(report.pending.until)}, then ${report.pending.reverts_to}` : null],
    ["prefix list", `${report.list.digest.slice(0, 12)}, ${count(report.list.v4)} IPv4, ${count(report.list.v6)} IPv6${report.list.last_error ? `; last refresh refused: ${report.list.last_error}` : ""}`],
    ["interfaces", report.interfaces.map((it) => `${it.name}: ${it.state}, ${it.enforcing ? "enforces" : "does not enforce for every port"}`).join("; ") || "none"],
    ["pulls", count(report.accepted)], ["refused", sums(report.refused)], ["relayed without proof", sums(report.observed)],
    ["dropped", sums(report.dropped)], ["would drop", sums(report.would_drop)],
    ["orders", (report.orders || []).map((it) => `${it.serial}: ${it.state.replace("_", " ")}${it.error ? ` (${it.error})` : ""}`).join("; ")]);
  const sites = report.sites.length ? [h("h3", {}, `Sites: ${count(report.sites_enforcing)} of ${count(report.sites_total)} enforce`), table([
    ["site", "", (row) => soft(row.site)],
    ["mode", "", (row) => row.mode === "enforce" ? row.mode : marked("is-warn", row.mode)],
    ["client certificates, the last first", "any", (row) => row.identities.length ? h("span", { class: "mono" }, row.identities.map((it) => `${it.spki_sha256.slice(0, 12)} ${since(it.last_seen, now)}`).join(", ")) : "none seen"],
  ], report.sites, true), report.more_sites ? none(`and ${count(report.more_sites)} more`) : null] : [];
  return [...reasons, list(pairs), ...sites];
}

// ---- the tables
function share(part, whole) {
  const width = 90, filled = whole ? part / whole * width : 0;
  return s("svg", { class: "share", width, height: 9, "aria-hidden": "true" }, s("rect", { x: .5, y: .5, width: width - 1, height: 8 }), s("rect", { class: "filled", x: 0, y: 0, width: filled, height: 9 }));
}
const LEVELS = { own: "your zone", global: "Cloudflare", unknown: "nothing" };
function place(row) {
  if (row.state === "newest") return row.missing.total ? marked("is-warn", "! newest, not everywhere") : "✓ newest";
  return row.state === "gone" ? "✓ gone everywhere" : row.state === "in_use" ? `in use at ${many(row.used_at, "host")}` : row.state;
}
function showCertificates({ certificates, unclear, incomplete, sums: all }, now) {
  const notes = [];
  if (all.silent) notes.push(none(`${many(all.silent, "silent host")}: nothing is known of the certificates there.`));
  if (unclear.total) notes.push(none(`The reports of ${many(unclear.total, "host")} are unclear (${some(4, unclear.rows, unclear.total)}): nothing is known of the certificates there.`));
  if (incomplete.total) notes.push(none(prose(`The reports of ${many(incomplete.total, "host")} have no room for all (${some(4, incomplete.rows, incomplete.total)}): \`aop identities\` there.`)));
  put("certificates", certificates.total === 0 ? none("No client certificate was seen yet.") : table([
    ["site", "", (row) => soft(row.site)],
    ["key, SHA-256", "w", (row) => h("span", { class: "mono", title: row.spki_sha256 }, row.spki_sha256.slice(0, 12))],
    ["proves", "w", (row) => LEVELS[row.level] || row.level],
    ["place in a rollover", "", place],
    ["arrived at", "w", (row) => h("span", {}, share(row.seen_at, row.serving), `${count(row.seen_at)} of ${many(row.serving, "host")}`)],
    ["not yet at", "any", (row) => row.missing.total ? some(4, row.missing.rows, row.missing.total) : "–"],
    ["pulls", "n", (row) => count(row.pulls)],
    ["last seen", "n w", (row) => since(row.last_seen, now)],
    ["left", "w", (row) => remaining(row.not_after, now)],
  ], certificates.rows, true), more(certificates, "aop fleet identities"), ...notes);
}
function showWaiting({ waiting, orders }, now) {
  const left = (time) => duration((Date.parse(time) - now) / 1000);
  const what = (it) => [...it.ports.map((port) => `port ${port}`), ...it.interfaces, ...it.sites].join(", ") || "all packets";
  put("waiting", waiting.total === 0 ? none("Nothing waits.") : table([
    ["host", "", (row) => soft(row.host)],
    ["what", "", (row) => `${row.pending.mode}: ${what(row.pending)}`],
    ["left", "w", (row) => marked("is-warn", left(row.pending.until))],
    ["pulls", "n", (row) => row.pending.pulls === null ? "–" : `${count(row.pending.pulls_so_far || 0)} of ${count(row.pending.pulls)}`],
    ["then", "", (row) => row.pending.reverts_to],
  ], waiting.rows, true), more(waiting, "aop fleet status"));
  put("orders", orders.total === 0 ? none("No order counts now.") : table([
    ["order", "any", (row) => h("span", {}, row.request, h("br"), h("span", { class: "mute" }, `${row.serial}, for ${row.hosts}`), h("br"), row.genuine ? h("span", { class: "mono mute" }, soft(row.operator)) : h("span", { class: "is-crit" }, "✗ not signed by an operator here"))],
    ["counts for", "w", (row) => left(row.expires)],
    ["hosts", "", (row) => h("span", {}, row.states.length ? row.states.map((it) => `${count(it.hosts)} ${it.value.replace("_", " ")}`).join(", ") : "none took it yet", row.stopped.rows.slice(0, 4).flatMap((it) => [h("br"), h("span", { class: "is-crit" }, `✗ ${it.host}: ${it.why}`)]))],
  ], orders.rows, true), more(orders, "aop fleet orders"));
}
function showRest({ ends, versions, lists, sums: all }, now) {
  put("ends", ends.total === 0 ? none("No certificate is loaded.") : table([
    ["what", "", (row) => KINDS[row.what] || row.what],
    ["site", "", (row) => soft(row.site)],
    ["hosts", "n", (row) => count(row.hosts)],
    ["expires", "w", (row) => row.not_after.slice(0, 10)],
    ["left", "w", (row) => remaining(row.not_after, now)],
  ], ends.rows, true), more(ends, "aop fleet status --json"));
  const reporting = all.packets.enforce + all.packets.observe;
  const shares = (title, list) => list.total === 0 ? [] : [table([
    [title, "any", (row) => h("span", { class: "mono", title: row.value }, row.value.slice(0, 24))],
    ["hosts", "w", (row) => h("span", {}, share(row.hosts, reporting), count(row.hosts))],
  ], list.rows, false), more(list, "aop fleet status --json")];
  put("shares", reporting === 0 ? none("No host reports.") : [...shares("version of aop", versions), ...shares("prefix list, SHA-256", lists)].filter(Boolean));
}

// ---- the loop
function show(data) {
  const { fleet } = data, now = Date.parse(data.now);
  document.title = `${fleet && !data.failing_since ? (SAYS[stateOf(fleet)] || ["?"])[0] : "?"} aop fleet ${data.prefix}`;
  put("name", `aop fleet ${data.prefix}`);
  put("about", data.selection);
  put("beat", fleet ? `read ${clock(fleet.at)} UTC` : "not read yet");
  showVerdict(data);
  if (!fleet) return;
  showFacts(fleet); showHosts(fleet); showCertificates(fleet, now); showWaiting(fleet, now); showRest(fleet, now);
  showHost();
}
function lost(why) {
  verdict("unknown", `aop fleet page does not answer (${why}).${last && last.fleet ? ` The rest is of ${clock(last.fleet.at)} UTC.` : ""}`,
    [["?", "Does it still run? Does the tunnel to its host still work?"]]);
}
follow("/page.json", PERIOD, show, lost);
