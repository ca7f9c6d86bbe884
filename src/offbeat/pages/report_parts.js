/* The evaluation page, its parts without time: figures of the fleet, baselines, doubts, loss, lineage. One global, `Parts`. */
"use strict";

const Parts = (() => {
  const { make, number, percent, count, moment } = Offbeat;
  const UNITS = { day: "a day", "10000_timesteps": "in 10,000 timesteps" };
  const METHODS = {
    untrained_network: "the same network before training",
    pca: "principal components of single rows (T² + Q)",
    moving_average: "distance to the mean of the readings before",
    random: "chance",
  };

  const rate = (data, metrics, kind = "") => metrics[`${kind}false_alarms_per_${data.unit}`];
  const decimals = (value, n) => (typeof value === "number" ? value.toFixed(n) : "–");

  /** So many timesteps as people write a length of time; empty for none. */
  function duration(data, timesteps) {
    if (!data.isTime && timesteps) return `${timesteps.toLocaleString("en", { maximumFractionDigits: 1 })} timestep${timesteps === 1 ? "" : "s"}`;
    return timesteps === 0 ? "" : Offbeat.duration(timesteps * data.step);
  }

  /** A mean delay, to the minute where it is more than ten of them. */
  function delay(data, timesteps) {
    const minute = 60000 / data.step;
    const isLong = data.isTime && timesteps > 10 * minute;
    return duration(data, isLong ? Math.round(timesteps / minute) * minute : timesteps) || "none";
  }

  /** A table; cells are text or elements, a column is {head, cell(row), text: true where it is words}. */
  function table(columns, rows, mark = () => ({})) {
    const head = make("tr", {}, ...columns.map(({ head: title, text }) => make("th", { scope: "col", class: text && "text" }, title)));
    const body = rows.map((row) => make("tr", mark(row), ...columns.map(({ cell, text }) => make("td", { class: text && "text" }, cell(row)))));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  }

  function tiles(data) {
    const own = data.methods[data.method];
    const tile = (name, value, note) => make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, value, make("small", {}, note)));
    const promised = rate(data, own, "promised_");
    const others = Object.entries(data.methods).filter(([name, metrics]) => name !== data.method && typeof metrics.vus_pr === "number");
    const best = others.sort((one, other) => other[1].vus_pr - one[1].vus_pr)[0];
    const has = own.n_events > 0;
    document.getElementById("tiles").replaceChildren(
      tile("Events found", has ? `${own.n_events_found} of ${own.n_events}` : "–", !has ? "none is labelled" : own.n_alarms ? `${percent(own.event_precision)} of the alarms are on one` : "no alarm came"),
      tile("False alarms", String(own.false_alarms), `${decimals(rate(data, own), 2)} ${UNITS[data.unit]}, ${typeof promised === "number" ? `at most ${decimals(promised, 2)} promised` : "nothing promised"}`),
      tile("Delay", has && own.n_events_found ? delay(data, own.detection_delay_mean) : "–", "from an event's start to its alarm, mean"),
      tile("Ranking, VUS-PR", decimals(own.vus_pr, 3), best ? `best simple method: ${decimals(best[1].vus_pr, 3)} (${best[0]})` : "1 is perfect; takes labelled events"),
    );
  }

  function doubts(data) {
    const list = data.doubts.map((doubt) => make("li", {}, doubt));
    const calm = "Nothing in the figures calls for doubt. They still speak only of the events that were labelled, and of machines that stay as they were.";
    document.getElementById("doubts").replaceChildren(list.length ? make("ul", {}, ...list) : make("p", {}, calm));
    if (!list.length) document.querySelector(".doubt").classList.remove("doubt");
  }

  function methods(data) {
    const name = ([method]) => {
      const note = method === data.method ? "this model" : METHODS[method];
      return make("span", {}, method, note ? make("small", { class: "muted" }, ` ${note}`) : null);
    };
    const columns = [
      { head: "Method", cell: name, text: true },
      { head: "Events found", cell: ([, m]) => (m.n_events ? `${m.n_events_found} of ${m.n_events}` : "–") },
      { head: "False alarms", cell: ([, m]) => String(m.false_alarms) },
      { head: UNITS[data.unit], cell: ([, m]) => decimals(rate(data, m), 2) },
      { head: "promised, at most", cell: ([, m]) => decimals(rate(data, m, "promised_"), 2) },
      { head: "Precision", cell: ([, m]) => decimals(m.event_precision, 2) },
      { head: "Recall", cell: ([, m]) => decimals(m.event_recall, 2) },
      { head: "F1", cell: ([, m]) => decimals(m.event_f1, 2) },
      { head: "Delay", cell: ([, m]) => (m.n_events_found ? delay(data, m.detection_delay_mean) : "–") },
      { head: "VUS-PR", cell: ([, m]) => decimals(m.vus_pr, 3) },
      { head: "AUC-PR", cell: ([, m]) => decimals(m.auc_pr, 3) },
    ];
    const rows = Object.entries(data.methods).sort((one, other) => (other[0] === data.method) - (one[0] === data.method));
    document.getElementById("methods").replaceChildren(table(columns, rows, ([method]) => ({ class: method === data.method && "own" })));
  }

  function wrong(data, link) {
    const all = data.assets.flatMap((asset, k) => asset.wrong.map((one) => ({ ...one, asset: asset.asset, k })));
    const most = 60;
    const list = (verdict) => {
      const some = all.filter((one) => one.verdict === verdict);
      if (!some.length) return make("p", { class: "muted" }, "None.");
      const items = some.slice(0, most).map((one) => make("li", {}, make("a", { href: link(one.k, one.place) }, `${Offbeat.shortened(one.asset, 60)}, ${moment(one.first, data.isTime)}`)));
      if (some.length > most) items.push(make("li", { class: "muted" }, `and ${some.length - most} more: see the assets below`));
      return make("ul", { class: "plain long" }, ...items);
    };
    document.getElementById("wrong").replaceChildren(make("div", { class: "columns" },
      make("div", {}, make("h3", {}, "Missed events"), data.methods[data.method].n_events ? list("missed") : make("p", { class: "muted" }, "No event is labelled in a test span.")),
      make("div", {}, make("h3", {}, "False alarms"), list("false"))));
  }

  function assets(data, link) {
    const word = { kept: "kept", broken: "not kept", unknown: "cannot tell" }, mood = { kept: "good", broken: "bad" };
    const columns = [
      { head: "Asset", text: true, cell: ({ asset, k }) => make("a", { href: link(k) }, asset.asset) },
      { head: "Events found", cell: ({ asset: { metrics: m } }) => (m.n_events ? `${m.n_events_found} of ${m.n_events}` : "–") },
      { head: "False alarms", cell: ({ asset }) => String(asset.metrics.false_alarms) },
      { head: UNITS[data.unit], cell: ({ asset }) => decimals(rate(data, asset.metrics), 2) },
      { head: "promised, at most", cell: ({ asset }) => decimals(rate(data, asset.metrics, "promised_"), 2) },
      { head: "Promise", text: true, cell: ({ asset: { verdict } }) => make("span", {}, make("strong", { class: mood[verdict.is] }, word[verdict.is]), make("small", { class: "muted" }, ` ${verdict.text}`)) },
      { head: "Threshold", cell: ({ asset }) => number(asset.threshold) },
      { head: "VUS-PR", cell: ({ asset }) => decimals(asset.metrics.vus_pr, 3) },
    ];
    const rows = data.assets.map((asset, k) => ({ asset, k }));
    document.getElementById("assets").replaceChildren(table(columns, rows, ({ k }) => ({ "data-asset": k })));
  }

  function loss(data) {
    const place = document.getElementById("loss");
    if (!data.epochs.length) {
      place.replaceChildren(make("p", { class: "message" }, "This model is fitted at once; there are no epochs, so there is no loss curve."));
      return;
    }
    const [chart, key] = [make("div"), make("div")];
    const best = data.epochs.reduce((one, other) => (other[2] < one[2] ? other : one));
    place.replaceChildren(
      make("p", {}, `${count(data.epochs.length, "epoch")}; the weights of epoch ${best[0]} are used, where the loss on held-out normal readings was lowest (${number(best[2])}). A held-out loss that rises while the other falls means that the model learns its readings by heart.`),
      key, chart);
    Offbeat.legend(key, [{ name: "loss on what it learns from", colour: "--reading" }, { name: "loss on held-out normal readings", colour: "--estimate", kind: "dashed" }]);
    const curve = (column, tint, dash) => ({ type: "scatter", mode: data.epochs.length < 40 ? "lines+markers" : "lines", x: data.epochs.map((row) => row[0]), y: data.epochs.map((row) => row[column]), line: { color: tint, dash }, hovertemplate: "epoch %{x}: %{y:.4~g}<extra></extra>" });
    Offbeat.figure(chart, (colour) => ({
      data: [curve(1, colour("--reading")), curve(2, colour("--estimate"), "dash")],
      layout: { height: 260, xaxis: { title: { text: "epoch" } }, yaxis: { type: "log", title: { text: "loss" }, nticks: 4, tickformat: "~g", exponentformat: "none" } },
    }), "Loss of each epoch");
  }

  function lineage(data) {
    const names = { method: "Model", data_hash: "Readings", params_hash: "Parameters", git_commit: "Commit", offbeat_version: "offbeat", model_hash: "Model file", thresholds_hash: "Thresholds" };
    const facts = Object.entries(data.lineage).flatMap(([key, value]) => [make("dt", {}, names[key] || key), make("dd", {}, make("code", { title: value }, value))]);
    document.getElementById("lineage").replaceChildren(...facts);
  }

  return { tiles, doubts, methods, wrong, assets, loss, lineage, duration };
})();
