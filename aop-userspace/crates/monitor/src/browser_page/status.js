const PERIOD = 2000, SPAN = 600000;
const rate = (value) => value === null ? "–" : `${value < 1e4 && value >= 10 ? count(Math.round(value)) : short(value, value > 0 ? 1 : 0)}/s`;

// ---- the ring of counters, and rates between them
const ring = [];
function counters(data) {
  const all = new Map(), add = (key, value) => all.set(key, (all.get(key) || 0) + value);
  for (const row of data.packets) {
    add(`packet ${row.action} ${row.reason}`, row.packets);
    if (row.action !== "pass") add("dropped", row.packets);
    else if (row.reason !== "not_guarded" && row.reason !== "transit") add("passed", row.packets);
  }
  add("accepted", data.accepted);
  for (const kind of ["refused", "observed", "denied"])
    for (const row of data[kind]) { add(`${kind} ${row.reason}`, row.count); add(kind, row.count); }
  add("relayed", data.relayed);
  for (const key of ["passed", "dropped", "refused", "observed", "denied"]) add(key, 0);
  return all;
}
function remember(data) {
  const at = Date.parse(data.at), last = ring[ring.length - 1];
  const answers = data.terminator_answers !== false;
  if (last && last.at >= at) { if (last.at - at > PATIENCE) ring.length = 0; else return; }
  ring.push({ at, answers, pid: data.daemon ? data.daemon.pid : 0, values: counters(data) });
  // One point before the span: the first interval begins there.
  while (ring.length > 2 && ring[1].at < at - SPAN) ring.shift();
}
// Packets are counted in the kernel; the rest belongs to one process, and starts again with it.
const ofKernel = (key) => key === "passed" || key === "dropped" || key.startsWith("packet ");
function growth(before, after, key) {
  if (!ofKernel(key) && (before.pid !== after.pid || !before.answers || !after.answers)) return null;
  const grown = (after.values.get(key) || 0) - (before.values.get(key) || 0);
  return grown < 0 ? null : grown;
}
function steps(key) {
  const found = [];
  for (let i = 1; i < ring.length; i++) {
    const [before, after] = [ring[i - 1], ring[i]], grown = growth(before, after, key);
    found.push({ from: before.at, to: after.at, value: grown === null ? null : grown * 1000 / (after.at - before.at) });
  }
  return found;
}
// The rate over the last ten seconds, which is steadier than the last step.
function current(key) {
  const last = ring[ring.length - 1];
  for (let i = 0; i < ring.length - 1; i++)
    if (last.at - ring[i].at <= 11000) {
      const grown = growth(ring[i], last, key);
      if (grown !== null) return grown * 1000 / (last.at - ring[i].at);
    }
  return null;
}
function within(key) {
  let sum = 0;
  for (let i = 1; i < ring.length; i++) sum += growth(ring[i - 1], ring[i], key) || 0;
  return sum;
}
const span = () => ring.length < 2 ? 0 : ring[ring.length - 1].at - ring[0].at;
// The plots show two, five or ten minutes, as far as the ring reaches.
const minutes = () => [2, 5, 10].find((some) => span() <= some * 60000) || 10;

// ---- drawing
function path(found, x, y, floor) {
  let line = "", area = "", open = false;
  for (const { from, to, value } of found) {
    if (value === null) { if (open) area += `V${floor}Z`; open = false; continue; }
    const [a, b, v] = [x(from).toFixed(1), x(to).toFixed(1), y(value).toFixed(1)];
    line += open ? `V${v}H${b}` : `M${a} ${v}H${b}`;
    area += open ? `V${v}H${b}` : `M${a} ${floor}V${v}H${b}`;
    open = true;
  }
  return { line, area: open ? area + `V${floor}Z` : area };
}
function ceiling(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * size).find((top) => top >= value);
}
const swatch = (kind) => s("svg", { width: 26, height: 12, "aria-hidden": "true" },
  s("rect", { class: `f-${kind}`, x: 0, y: 5, width: 26, height: 7 }), s("path", { class: `s-${kind}`, d: "M0 5H26" }));

// A plot of two series: a solid line over a plain area, and a dashed line over a hatched one.
class Plot {
  constructor(id, series) {
    Object.assign(this, { id, series, node: byId(`${id}-plot`), pointed: null });
    this.node.addEventListener("pointermove", (event) => {
      const box = this.node.getBoundingClientRect();
      this.pointed = event.clientX - box.left;
      this.draw();
    });
    this.node.addEventListener("pointerleave", () => { this.pointed = null; this.draw(); });
  }
  draw() {
    if (ring.length === 0) return;
    const width = this.node.clientWidth || 300, height = this.node.clientHeight || 132;
    const left = 38, right = width - 1, top = 8, floor = height - 18, shownSpan = minutes() * 60000;
    const now = ring[ring.length - 1].at, all = this.series.map((one) => steps(one.key));
    const x = (at) => Math.max(left, right - (now - at) / shownSpan * (right - left));
    const highest = ceiling(Math.max(0, ...all.flat().map((step) => step.value || 0)));
    const y = (value) => floor - value / highest * (floor - top);
    const parts = [];
    for (const share of [0, .5, 1]) {
      const at = Math.round(y(highest * share)) + .5;
      parts.push(s("path", { class: share ? "axis" : "axis base", d: `M${left} ${at}H${right}` }),
        s("text", { x: left - 5, y: at + 3.5, "text-anchor": "end" }, short(highest * share, highest < 2 && share === .5 ? 1 : 0)));
    }
    for (const [share, text, anchor] of [[0, `−${minutes()} min`, "start"], [.5, `−${minutes() / 2} min`, "middle"], [1, "now", "end"]])
      parts.push(s("text", { x: left + share * (right - left), y: height - 4, "text-anchor": anchor }, text));
    this.series.forEach((one, i) => {
      const { line, area } = path(all[i], x, y, floor);
      parts.push(s("path", { class: `f-${one.kind}`, d: area }), s("path", { class: `s-${one.kind}`, d: line }));
    });
    let pointed = null;
    if (this.pointed !== null && this.pointed >= left) {
      pointed = now - (right - this.pointed) / (right - left) * shownSpan;
      parts.push(s("path", { class: "cursor", d: `M${this.pointed} ${top}V${floor}` }));
    }
    const shown = this.series.map((one, i) => {
      const step = pointed === null ? null : all[i].find((it) => it.from <= pointed && pointed <= it.to);
      return { ...one, value: pointed === null ? current(one.key) : step ? step.value : null };
    });
    this.node.replaceChildren(...parts);
    const when = pointed === null ? "" : ` at ${clock(new Date(pointed).toISOString())}`;
    this.node.setAttribute("aria-label", shown.map((one) => `${one.name} ${rate(one.value)}`).join(", ") + when);
    byId(`${this.id}-legend`).replaceChildren(...shown.map((one) =>
      h("span", {}, swatch(one.kind), `${one.name} `, h("b", {}, rate(one.value)))),
      h("span", { class: "mute" }, when));
  }
}
function spark(key, kind) {
  const width = 96, height = 18, found = steps(key), now = ring[ring.length - 1].at;
  const highest = Math.max(0, ...found.map((step) => step.value || 0));
  const node = s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("path", { class: "axis", d: `M0 ${height - .5}H${width}` }));
  if (highest > 0) {
    const x = (at) => Math.max(0, width - (now - at) / (minutes() * 60000) * width), y = (value) => height - 1 - value / highest * (height - 3);
    const { line, area } = path(found, x, y, height - 1);
    node.append(s("path", { class: `f-${kind}`, d: area }), s("path", { class: `s-${kind}`, d: line }));
  }
  return node;
}

const WORDS = { pass: ["pass", ""], drop: ["drop", "drop"], would_drop: ["would drop", "drop"] };
function reasons(rows, what) {
  if (rows.length === 0) return none(what);
  const title = `last ${duration(Math.max(span(), 2000) / 1000)}`;
  return table([
    ["reason", "", (row) => h("span", {}, h("span", { class: `act ${row.tone}` }, row.word), soft(row.reason))],
    [`${minutes()} min`, "", (row) => spark(row.key, row.kind)],
    ["now", "n", (row) => rate(current(row.key))],
    [title, "n opt", (row) => count(within(row.key))],
    ["total", "n", (row) => count(row.total)],
  ], rows, false);
}
function counts(list, kind, word, tone) {
  const rows = list.map((row) => ({ word, tone, kind: "drop", reason: row.reason, key: `${kind} ${row.reason}`, total: row.count }));
  return rows.sort((a, b) => b.total - a.total);
}

// ---- the parts of the page
function headline(data) {
  if (data.mode === "off") return "The packet filter is off; certificates alone decide.";
  const names = (which) => data.interfaces.rows.filter(which).map((it) => it.name).join(", ");
  const dropping = names((it) => it.enforcing), counting = names((it) => it.attached && !it.enforcing);
  if (dropping && counting) return `Strangers are dropped on ${dropping}, and only counted on ${counting}.`;
  if (dropping) return `Strangers are dropped on ${dropping}.`;
  return counting ? `Strangers are counted on ${counting}, and pass.` : "No interface is guarded: every packet passes.";
}
function showVerdict(data) {
  const line = (mark) => (text) => [mark, text];
  const left = (list, what) => list.total > list.rows.length ? [["…", `and ${list.total - list.rows.length} more ${what}: \`aop status\``]] : [];
  verdict(data.state, headline(data), [
    ...data.obstacles.rows.map(line("✗")), ...left(data.obstacles, "obstacles"),
    ...data.warnings.rows.filter((text) => !data.obstacles.rows.includes(text)).map(line("!")), ...left(data.warnings, "warnings"),
  ]);
}
function showFacts(data) {
  const now = Date.parse(data.at), guarded = data.interfaces.rows.filter((it) => it.attached).length;
  const first = data.ends.rows[0], left = first ? (Date.parse(first.not_after) - now) / 1000 : 0;
  const observed = data.mode === "observe";
  put("facts",
    fact("mode", data.mode, data.overrides.total ? `and ${data.overrides.total} overrides` : "everywhere", observed ? "is-warn" : null),
    fact("interfaces guarded", `${guarded} of ${data.interfaces.total}`, data.interfaces.rows.slice(0, 3).map((it) => it.name).join(", "), guarded < data.interfaces.total ? "is-crit" : null),
    fact("passed", rate(current("passed")), "to guarded ports"),
    fact(observed ? "would be dropped" : "dropped", rate(current("dropped")), "packets"),
    fact("pulls", rate(current("accepted")), `${count(data.accepted)} in all`),
    fact("refused", rate(current("refused")), `${count(within("refused"))} in ${duration(span() / 1000)}`),
    fact("open connections", data.daemon ? count(data.daemon.open_connections) : "–", `${count(data.requests_open)} requests, ${count(data.tunnels_open)} tunnels`),
    fact("next expiry", first ? (left < 0 ? "expired" : duration(left)) : "–", first ? first.site : "", first && left < 14 * 86400 ? "is-warn" : null));
}
function showCounters(data) {
  const packets = data.packets.map((row) => {
    const [word, tone] = WORDS[row.action] || [row.action, ""];
    return { word, tone, kind: row.action === "pass" ? "pass" : "drop", reason: row.reason, key: `packet ${row.action} ${row.reason}`, total: row.packets };
  });
  const order = (row) => row.kind === "pass" ? 1 : 0;
  put("packets", reasons(packets.sort((a, b) => order(a) - order(b) || b.total - a.total), data.mode === "off" ? "The packet filter is off." : "No packet was counted yet."));
  const answers = data.terminator_answers === false ? "The terminator does not answer: its counters are not known." : null;
  const handshakes = [{ word: "pass", tone: "", kind: "pass", reason: "authenticated", key: "accepted", total: data.accepted },
    ...counts(data.refused, "refused", "refuse", "drop"), ...counts(data.observed, "observed", "observe", "drop")];
  put("handshakes", answers ? none(answers) : reasons(handshakes, ""));
  const requests = [{ word: "pass", tone: "", kind: "pass", reason: "relayed", key: "relayed", total: data.relayed }, ...counts(data.denied, "denied", "deny", "drop")];
  put("requests", answers ? none(answers) : reasons(requests, ""));
}
const KNOWN = { authenticated: "has authenticated: the list lacks it", draining: "its network left the list", cdn: "in Cloudflare's list, not in yours", private: "private address" };
function showStrangers(data) {
  const now = Date.parse(data.at);
  const refused = table([
    ["address", "w", (row) => h("span", { class: "mono" }, row.address)],
    ["admitted by", "w", (row) => row.admitted_by || "nothing"],
    ["site", "", (row) => soft(row.site)],
    ["refused as", "", (row) => soft(row.reason)],
    ["connections", "n", (row) => count(row.count)],
    ["last seen", "w n", (row) => since(row.last_seen, now)],
  ], data.refused_lately.rows, true);
  const known = (row) => KNOWN[row.known] || (row.every_seconds ? `every ${duration(row.every_seconds)}` : row.reason);
  const sources = table([
    ["source", "w", (row) => h("span", { class: "mono" }, row.source)],
    ["port", "n", (row) => row.port === null ? "?" : row.port],
    ["packets", "n", (row) => count(row.packets)],
    ["connections", "n", (row) => count(row.connections)],
    ["first seen", "w n", (row) => since(row.first_seen, now)],
    ["last seen", "w n", (row) => since(row.last_seen, now)],
    ["why", "", (row) => soft(row.admitted_by ? `admitted by now: ${row.admitted_by}` : known(row))],
  ], data.strangers.rows, true);
  const filter = data.strangers.total ? sources : none("No source outside the admitted networks has sent a packet to a guarded port.");
  put("strangers", filter, more(data.strangers, "aop strangers"), h("h3", {}, "Refused by TLS"), data.refused_lately.total ? refused : none("No connection was refused recently."), more(data.refused_lately, "aop status --json"));
}
function showCertificates(data) {
  const now = Date.parse(data.at);
  put("ends", data.ends.total === 0 ? none("No certificate is loaded.") : table([
    ["what", "", (row) => KINDS[row.what] || row.what],
    ["site", "", (row) => soft(row.site)],
    ["subject and file", "any", (row) => h("span", {}, row.subject, h("br"), h("span", { class: "mono mute" }, soft(row.file)))],
    ["expires", "w", (row) => row.not_after.slice(0, 10)],
    ["left", "w", (row) => remaining(row.not_after, now)],
  ], data.ends.rows, true), more(data.ends, "aop check"));
  put("identities", data.identities.total === 0 ? none("No peer has presented a certificate yet.") : table([
    ["site", "", (row) => soft(row.site)],
    ["subject and issuer", "any", (row) => h("span", {}, row.subject, h("br"), h("span", { class: "mute" }, `by ${row.issuer}`))],
    ["proves", "", (row) => ({ own: "your zone", global: "Cloudflare", unknown: "nothing" })[row.level] || row.level],
    ["left", "w", (row) => remaining(row.not_after, now)],
    ["pulls", "n", (row) => count(row.pulls)],
    ["last seen", "w n", (row) => since(row.last_seen, now)],
  ], data.identities.rows, true), more(data.identities, "aop identities"));
}
function showInterfaces(data) {
  const state = (row) => row.attached ? "attached" : marked("is-crit", `✗ ${row.state}`);
  const parts = [data.interfaces.total === 0 ? none(data.mode === "off" ? "The packet filter is off." : "None.") : table([
    ["interface", "w", (row) => h("span", { class: "mono" }, row.name)],
    ["program", "", state],
    ["XDP mode", "", (row) => row.attach || "–"],
    ["packets of strangers", "", (row) => row.state === "missing" ? "–" : !row.attached ? marked("is-crit", "pass unjudged") : row.enforcing ? "dropped" : marked("is-warn", "counted, and pass")],
  ], data.interfaces.rows, false), more(data.interfaces, "aop status")];
  if (data.unguardable.total) parts.push(h("h3", {}, "Cannot be guarded"), none(data.unguardable.rows.join(", ")));
  const list = data.overrides.rows.map((line) => h("dd", {}, prose(line)));
  parts.push(h("h3", {}, "Modes"), h("dl", { class: "pairs" }, h("dt", {}, "general mode"), h("dd", {}, data.mode),
    list.flatMap((line) => [h("dt", {}, "override"), line]),
    data.pending ? [h("dt", {}, "reverts"), h("dd", {}, `at ${clock(data.pending.until)} to ${data.pending.reverts_to}`)] : []), more(data.overrides, "aop mode"));
  put("interfaces", parts);
}
function showNetworks(data) {
  const list = data.prefixes, now = Date.parse(data.at);
  const pairs = [["list", `${list.source || "–"}${list.origin ? `, ${list.origin}` : ""}`],
    ["prefixes", `${count(list.v4)} IPv4, ${count(list.v6)} IPv6${list.draining ? `, ${count(list.draining)} draining` : ""}`],
    ["confirmed", list.age_seconds === null ? "never by its source" : `${duration(list.age_seconds)} ago`],
    ["next refresh", list.next_refresh_seconds === null ? "none is due" : `in ${duration(list.next_refresh_seconds)}`]];
  if (list.last_error) pairs.push(["last refresh", `✗ refused: ${list.last_error}`]);
  for (const it of data.openings.rows) pairs.push(["opening", `${it.network} until ${utc(it.until)} (${duration((Date.parse(it.until) - now) / 1000)} left)`]);
  for (const it of data.predecessors.rows) pairs.push(["predecessor", `process ${it.pid}, ${it.connections === null ? "unknown" : it.connections} connections, until ${clock(it.until)}`]);
  const parts = [h("dl", { class: "pairs" }, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))];
  if (data.upstreams.total) parts.push(h("h3", {}, "Checked upstreams"), table([
    ["site", "", (row) => soft(row.site)],
    ["upstream", "any", (row) => h("span", { class: "mono" }, row.upstream)],
    ["check", "any", (row) => row.good === true ? "✓ answers" : row.good === null ? "not checked yet" : marked("is-crit", `✗ ${row.error || "fails"}`)],
  ], data.upstreams.rows, true), more(data.upstreams, "aop status"));
  put("networks", parts);
}

// The link of this host alone: it may not read what the others report.
function showFleet(data) {
  const link = data.fleet, now = Date.parse(data.at);
  byId("fleet-card").hidden = !link;
  if (!link) return;
  const states = { starting: "no report was tried yet", reporting: "✓ reports arrive", failing: "✗ reports do not arrive", name_taken: "✗ another host has this name" };
  const state = states[link.state] || link.state, order = link.order;
  const pairs = [["name", `${link.name} in ${link.prefix}`], ["state", h("span", { class: link.state === "reporting" || link.state === "starting" ? null : "is-crit" }, state)],
    ["last report", link.reported_at === null ? "never" : `${since(link.reported_at, now)}, ${count(link.report_bytes)} bytes`],
    ["last order", order ? `${order.serial}, ${since(order.at, now)}: ${order.state.replace("_", " ")}${order.error ? `: ${order.error}` : ""}` : "none"]];
  if (link.error) pairs.splice(2, 0, [link.state === "reporting" ? "warning" : "why", link.error]);
  put("fleet", h("dl", { class: "pairs" }, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    none(prose("All hosts: `aop fleet page`, or `aop fleet status`, with the certificate of an operator.")));
}

// ---- the loop
const plots = [
  new Plot("packets", [{ key: "passed", kind: "pass", name: "passed" }, { key: "dropped", kind: "drop", name: "dropped" }]),
  new Plot("handshakes", [{ key: "accepted", kind: "pass", name: "authenticated" }, { key: "refused", kind: "drop", name: "refused" }]),
  new Plot("requests", [{ key: "relayed", kind: "pass", name: "relayed" }, { key: "denied", kind: "drop", name: "denied" }]),
];
function show(data) {
  remember(data);
  plots[0].series[1].name = data.mode === "observe" ? "would be dropped" : "dropped";
  const [sign] = SAYS[data.state] || ["?"];
  document.title = `${sign} aop ${data.host}`;
  put("name", `aop on ${data.host || "this host"}`);
  put("about", `version ${data.version}${data.daemon ? `, up ${duration(data.daemon.uptime_seconds)}` : ""}`);
  put("beat", `updated ${clock(data.at)} UTC`);
  showVerdict(data); showFacts(data); showCounters(data); showStrangers(data);
  showCertificates(data); showInterfaces(data); showNetworks(data); showFleet(data);
  plots.forEach((plot) => plot.draw());
}
function lost(why) {
  verdict("unknown", `aop does not answer (${why}).${last ? ` The rest is of ${clock(last.at)} UTC.` : ""}`,
    [["?", "Does it run (`systemctl status aop`)? Does the tunnel to its host still work?"]]);
}
addEventListener("resize", () => plots.forEach((plot) => plot.draw()));
follow("/page.json", PERIOD, show, lost);
