/* The service's page: asks for the model card, sends files to /score_csv and shows the answers. A token stays in this
script's memory. */
"use strict";

(() => {
  const { make } = Offbeat;
  const Parts = ServiceParts;
  const find = (id) => document.getElementById(id);
  const root = document.documentElement.dataset;
  const LIMITS = { rows: Number(root.rows), body: Number(root.body) }, TIME_COLUMNS = root.timeColumns.split(",");
  const MANY_ASSETS = 12, MOST_CHOICES = 200; // a list of thousands is slow, and nobody reads it
  let token = "", card = null, file = null, shown = null, turns = 0;
  let waiting = null; // what is done once there is a token

  class Problem extends Error {
    constructor(facts) { super(facts.message); this.facts = facts; }
  }

  class Late extends Error {} // another file was chosen meanwhile

  // ---- the service ----

  async function ask(path, options = {}) {
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) } });
    } catch {
      throw new Problem({ message: "There is no answer. Is the service still running, and this machine on its network?" });
    }
    let content = null;
    try { content = await response.json(); } catch { /* said below */ }
    if (response.ok && content) return content;
    throw new Problem(content && content.error ? content.error : { message: `The answer has status ${response.status} and cannot be read: does another server stand in between?` });
  }

  /** Do something that asks the service; what is wrong is told, and a token asked for. */
  async function attempt(act) {
    Parts.problem(find("problem"), {});
    try {
      await act();
      find("locked").hidden = true;
    } catch (error) {
      if (error instanceof Late) return;
      find("status").textContent = "";
      if (!(error instanceof Problem)) {
        Parts.problem(find("problem"), { message: `This page itself failed: ${error.message}` });
        throw error;
      }
      if (error.facts.code === "unauthorized") return locked(act);
      find("result").hidden = true; // it is not of this file
      if (!card) find("ask").hidden = false; // its place for problems
      if (error.facts.code === "unknown_asset") await loadCard();
      const number = /^line (\d+)/.exec(error.facts.field || "");
      Parts.problem(find("problem"), { ...error.facts, line: number && file && error.facts.code === "bad_content" ? file.lines[number[1] - 1] : null });
    }
  }

  function locked(act) {
    waiting = act;
    find("locked-words").textContent = token
      ? "It refused the token that you gave. Whoever runs it set one in OFFBEAT_TOKEN."
      : "Whoever runs it set one in OFFBEAT_TOKEN. It stays in the memory of this page and is forgotten when you close it or load it anew.";
    token = "";
    find("locked").hidden = false;
    find("token").value = "";
    find("token").focus();
  }

  async function loadCard() {
    card = await ask("model");
    for (const id of ["ask", "model"]) find(id).hidden = false;
    Parts.card(find("card"), card);
    find("search-label").hidden = Object.keys(card.assets).length <= MANY_ASSETS;
    choices();
  }

  // ---- the asset ----

  /** List the assets that have what is searched for in their name, `chosen` among them where there are many. */
  function choices(chosen = find("asset").value) {
    const wanted = find("search").value.toLowerCase();
    const found = Object.keys(card.assets).filter((name) => name.toLowerCase().includes(wanted)), names = found.slice(0, MOST_CHOICES);
    if (found.includes(chosen) && !names.includes(chosen)) names.unshift(chosen);
    find("asset").replaceChildren(...names.map((name) => make("option", { value: name }, Offbeat.shortened(name, 80))));
    if (names.includes(chosen)) find("asset").value = chosen;
    find("more-assets").textContent = found.length > names.length ? `and ${(found.length - names.length).toLocaleString("en")} more: find one by its name` : "";
    assetWords(names.length);
  }

  function assetWords(n) {
    const asset = find("asset").value, facts = card.assets[asset];
    find("asset-words").textContent = facts ? `Its threshold is ${Offbeat.number(facts.threshold)}${facts.maturity === "provisional" ? ", provisional" : ""}. ${Parts.promise(facts)}` : n ? "" : "No asset has that in its name.";
    if (facts) fileWords(Parts.cardOf(card, asset));
  }

  /** What a file of an asset must look like. */
  function fileWords({ channels, period }) {
    const { isTime, step } = Parts.period({ period }), start = isTime ? "2026-01-05T00:00:00Z" : "0";
    find("example").textContent = `${[isTime ? "timestamp" : "index", ...channels].join(",")}\n${[start, ...channels.map(() => "0.0")].join(",")}\n…`;
    find("rule").textContent = isTime ? `Write times as 2026-01-05T00:10:00Z; without a zone they are taken as UTC. One every ${Parts.length(1, true, step)}.` : "The index is a whole number.";
  }

  // ---- a file ----

  async function take(name, blob) {
    find("status").textContent = `Reading ${Offbeat.shortened(name, 80)} …`;
    let text;
    try {
      text = await ReadingsFile.textOf(blob);
    } catch (error) {
      find("status").textContent = "";
      Parts.problem(find("problem"), { code: "bad_content", message: error.message });
      return;
    }
    file = ReadingsFile.open(name, text, TIME_COLUMNS);
    const stem = name.replace(/\.[^.]*$/, ""), byName = card && Object.hasOwn(card.assets, stem);
    if (byName) { find("search").value = ""; choices(stem); }
    find("again").textContent = `Score ${Offbeat.shortened(name, 60)} again`;
    find("again").hidden = false;
    await score(byName);
  }

  const score = (byName = false) => attempt(async () => {
    const turn = ++turns, asset = find("asset").value;
    if (!asset) throw new Problem({ message: "No asset is chosen. Clear “Find an asset”, and choose one." });
    const own = Parts.cardOf(card, asset), { isTime, step } = Parts.period(own);
    const scored = file, begin = `Scoring ${scored.n.toLocaleString("en")} rows as ${Offbeat.shortened(asset, 80)} …`;
    find("status").textContent = begin;
    const send = async (text, skipped) => {
      try {
        return await ask(`score_csv?asset=${encodeURIComponent(asset)}`, { method: "POST", body: text, headers: { "Content-Type": "text/csv; charset=utf-8", Accept: "application/json" } });
      } catch (error) { // lines as they are in the file
        if (turn !== turns) throw new Late();
        const field = error.facts.field;
        if (field) error.facts.field = field.replace(/^line (\d+)/, (_, number) => `line ${Number(number) + (number > 1 ? skipped : 0)}`);
        throw error;
      }
    };
    const progress = (n) => { find("status").textContent = `${begin} ${Math.floor((100 * n) / scored.n)}%`; };
    const answer = await ReadingsFile.scored(scored, { limits: LIMITS, context: own.stream_rows, isTime, send, progress });
    if (turn !== turns) return;
    answer.events.forEach((event) => { event.channels = event.channels || Parts.shares(answer, event).slice(0, 3); });
    if (answer.lineage.model !== card.version) await loadCard();
    await show(scored, asset, answer, { isTime, step, byName });
    find("status").textContent = "";
  });

  // ---- an answer ----

  const drawing = root.plotly ? new Promise((resolve) => {
    const script = make("script", { src: root.plotly });
    script.addEventListener("load", () => resolve(true));
    script.addEventListener("error", () => resolve(false));
    document.head.append(script);
  }) : Promise.resolve(false);

  async function show(scored, asset, answer, how) {
    const hasPictures = await drawing, data = await ReadingsFile.drawn(scored, answer, how.isTime);
    if (shown && shown.chart) shown.chart.remove();
    shown = { answer, how, chart: null, chosen: null, from: 0 };
    find("result").hidden = false;
    find("result-title").textContent = asset;
    find("verdict").textContent = Parts.verdict(answer, how.isTime, how.step);
    Parts.notes(find("notes"), answer, card.assets[asset], { ...how, hasPictures });
    find("alarm").replaceChildren();
    find("alarm-list").hidden = !answer.events.length;
    list();
    if (hasPictures) shown.chart = timeline(asset, answer, data);
    else for (const id of ["legend", "timeline"]) find(id).replaceChildren();
    find("result-title").focus({ preventScroll: true });
    find("result").scrollIntoView();
    root.ready = String(turns); // for whoever waits for an answer
  }

  function timeline(asset, answer, data) {
    Offbeat.legend(find("legend"), [{ name: "alarm", colour: "--alarm", kind: "area" }, { name: "score", colour: "--score" }, { name: "threshold", colour: "--threshold", kind: "dashed" }, { name: "reading", colour: "--reading" }]);
    const alarms = answer.events.map((event) => ({ first: event.first, last: event.last, text: Parts.told(event) }));
    return Offbeat.timeline(find("timeline"), { ...data, alarms }, { label: `Readings, score and alarms of ${asset}`, onAlarm: (k) => open(k, true), thin: Thinning.inSight });
  }

  function list() {
    const { answer, how, from, chosen } = shown;
    Parts.alarms(find("alarms"), answer, { ...how, order: find("order").value, from, chosen, go: open, turn: (to) => { shown.from = to; list(); } });
  }

  function open(k, fromChart = false) {
    const event = shown.answer.events[k];
    shown.chosen = k;
    document.querySelectorAll("#alarms button[data-alarm]").forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.alarm) === k)));
    Parts.alarm(find("alarm"), shown.answer, event, shown.how);
    if (shown.chart) shown.chart.select(k);
    if (shown.chart && !fromChart) shown.chart.show(event.first, event.last);
    Offbeat.attend(find("alarm"));
  }

  // ---- start ----

  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = find("token").value.trim();
    if (!/^[\x20-\x7e]+$/.test(given)) { find("locked-words").textContent = "A token has only letters, digits and signs of ASCII: is this the right one?"; return; }
    token = given;
    attempt(waiting);
  });
  find("search").addEventListener("input", choices);
  find("asset").addEventListener("change", () => assetWords(1));
  find("again").addEventListener("click", () => score());
  find("order").addEventListener("change", () => { shown.from = 0; list(); });
  find("file").addEventListener("change", ({ target }) => {
    if (target.files.length) take(target.files[0].name, target.files[0]);
    target.value = ""; // the same file may be chosen again after it was corrected
  });
  find("score-pasted").addEventListener("click", () => take("what was pasted", new Blob([find("pasted").value])));
  find("docs").addEventListener("click", (event) => { // a link sends no token: it is fetched with it, and saved
    if (!token) return;
    event.preventDefault();
    attempt(async () => {
      const text = JSON.stringify(await ask("docs.json"), null, 2), url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      make("a", { href: url, download: "docs.json" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
  });
  for (const kind of ["dragover", "drop", "dragleave"]) { // anywhere: a file that misses the field must not replace the page
    addEventListener(kind, (event) => {
      event.preventDefault();
      find("drop").classList.toggle("over", kind === "dragover");
      if (kind !== "drop" || !event.dataTransfer.files.length || !card) return;
      take(event.dataTransfer.files[0].name, event.dataTransfer.files[0]);
    });
  }
  attempt(loadCard);
})();
