/* The evaluation page: unpacks Plotly and an asset when it is looked at, and follows the address (#asset=NAME&place=3). */
"use strict";

(async () => {
  const { make, number, percent, count, moment } = Offbeat;
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const VERDICTS = {
    found: ["on a labelled event", "is-alarm"], false: ["false alarm", "is-false"], missed: ["missed event", "is-missed"],
    outside: ["not judged: before the test span, or excluded", ""],
  };
  let turns = 0; // assets asked for; only the last one is shown
  let shown = null; // {k, block, chart, places: [], parts: [...]}: the asset in sight

  // ---- addresses ----

  const link = (k, place) => {
    const parts = new URLSearchParams({ asset: data.assets[k].asset });
    if (place !== undefined) parts.set("place", place);
    return `#${parts}`;
  };
  const links = new Map(data.assets.map((_, k) => [link(k), k]));

  function addressed() {
    const parts = new URLSearchParams(location.hash.slice(1)), place = parts.get("place");
    parts.delete("place");
    const k = links.get(`#${parts}`);
    const isAsset = k !== undefined, unknown = isAsset ? null : parts.get("asset");
    return { k: k ?? 0, isAddress: isAsset || unknown !== null, unknown, place: isAsset && place !== null ? Number(place) : null };
  }

  async function follow() {
    const { k, isAddress, unknown, place } = addressed();
    const turn = ++turns;
    if (!shown || shown.k !== k) {
      const block = JSON.parse(await Offbeat.inflate(find(`asset-${k}`).textContent));
      if (turn !== turns) return;
      showAsset(k, block);
    }
    find("unknown").hidden = unknown === null;
    find("unknown").textContent = `The address asks for asset ${Offbeat.shortened(unknown, 80)}, and there is no asset of that name on this page. Below is ${data.assets[k].asset}.`;
    if (place !== null && shown.block.places[place]) showPlace(place);
    else closePlace();
    if (isAddress) find(place !== null ? "timeline" : "asset").scrollIntoView();
  }

  /** Resolves when a part of the page comes near to what is seen. */
  const near = (element) => new Promise((resolve) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      resolve();
    }, { rootMargin: "300px" });
    observer.observe(element);
  });

  // ---- an asset ----

  function showAsset(k, block) {
    closePlace();
    if (shown) [shown.chart, ...shown.parts].forEach((part) => part.remove());
    const asset = data.assets[k];
    shown = { k, asset, block, chart: null, parts: [], place: null };
    document.querySelectorAll("#assets tr[data-asset]").forEach((row) => {
      if (Number(row.dataset.asset) === k) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
    find("choice").value = String(k);
    find("before").disabled = k === 0;
    find("after").disabled = k === data.assets.length - 1;
    find("asset-title").textContent = asset.asset;
    words(asset, block);
    shown.chart = timeline(asset, block);
    filters(block);
    figures(asset, block);
  }

  function words(asset, block) {
    const m = asset.metrics, says = [];
    says.push(`${count(asset.n_timesteps, "timestep")} from ${moment(asset.first, data.isTime)} to ${moment(asset.last, data.isTime)}${asset.n_gaps ? `, with ${count(asset.n_gaps, "long gap")}` : ""}.`);
    says.push(m.n_events ? `In the test span ${m.n_events_found} of ${count(m.n_events, "labelled event")} found.` : `No event is labelled in its test span, so nothing can be said of what it finds.`);
    says.push(`${asset.verdict.text}.`);
    if (asset.n_missing) says.push(`${count(asset.n_missing, "reading")} missing (${percent(asset.n_missing / (asset.n_timesteps * data.channels.length))}).`);
    if (asset.n_excluded) says.push(`${count(asset.n_excluded, "timestep")} excluded.`);
    if (asset.n_unscored === asset.n_timesteps) says.push("No timestep has a score: every stretch without a long gap is shorter than a window.");
    else if (asset.n_unscored) says.push(`${count(asset.n_unscored, "timestep")} without a score: nothing was read there, or too little between long gaps.`);
    if (!block.whole) says.push("The picture shows the lowest and highest reading of each stretch; no extreme is left out.");
    const warning = asset.warning ? make("p", {}, make("strong", { class: "bad" }, "Threshold: "), asset.warning) : null;
    const notes = asset.notes.length ? make("details", {}, make("summary", {}, "What reading them did"), make("ul", { class: "plain" }, ...asset.notes.map((note) => make("li", {}, note)))) : null;
    find("asset-words").replaceChildren(...[make("p", {}, says.join(" ")), warning, notes].filter(Boolean));
  }

  const times = (part) => part.offsets.map((offset) => part.first + offset * data.step);

  const told = (place) => {
    const leading = place.shares[0] && place.shares[0].share > 0 ? `, ${Offbeat.shortened(place.shares[0].channel, 40)} ${percent(place.shares[0].share)}` : "";
    return `${VERDICTS[place.verdict][0]}${place.ratio === null ? "" : `, ${number(place.ratio)} × threshold`}${leading}`;
  };

  function timeline(asset, block) {
    const alarms = block.places.map((place, k) => ({ ...place, k, text: told(place), isFalse: place.verdict === "false", isOutside: place.verdict === "outside" })).filter((place) => place.verdict !== "missed");
    const missed = block.places.filter((place) => place.verdict === "missed");
    const events = block.events.map((event) => {
      const isMissed = missed.some((one) => one.first <= event.last && event.first <= one.last);
      return { ...event, isMissed, text: isMissed ? "labelled event, missed" : "labelled event" };
    });
    Offbeat.legend(find("legend"), [
      { name: "alarm", colour: "--alarm", kind: "area" }, { name: "false alarm", colour: "--false-alarm", kind: "area hollow" },
      { name: "alarm, not judged", colour: "--muted", kind: "area" },
      ...(events.length ? [{ name: "labelled event", colour: "--event", kind: "area" }, { name: "missed event", colour: "--event", kind: "area hollow" }] : []),
      { name: "threshold", colour: "--threshold", kind: "dashed" },
    ]);
    const shares = block.shares.some(Boolean) ? block.shares.map((row) => row && row.map((share) => share / 100)) : undefined;
    const chart = Offbeat.timeline(find("timeline"), {
      isTime: data.isTime, step: data.step, timestamps: times(block), scores: block.scores, threshold: asset.threshold,
      channels: data.channels, readings: block.readings, shares, alarms, events: events.length ? events : undefined, spans: block.spans,
    }, { label: `Readings, score and alarms of ${asset.asset}`, onAlarm: (at) => go(alarms[at].k, true) });
    return { ...chart, choose: (k) => { const at = alarms.findIndex((alarm) => alarm.k === k); chart.select(at < 0 ? null : at); } };
  }

  // ---- alarms and missed events ----

  function filters(block) {
    const kinds = [
      ["judged", "in the test span", (place) => place.verdict !== "outside"], ["wrong", "missed events and false alarms", (place) => ["missed", "false"].includes(place.verdict)],
      ["all", "all, before the test span too", () => true],
    ];
    const options = kinds.map(([value, name, is]) => make("option", { value }, `${name} (${block.places.filter(is).length})`));
    find("filter").replaceChildren(...options);
    find("filter").value = block.places.some(kinds[0][2]) ? "judged" : "all";
    const list = () => places(block, kinds.find(([value]) => value === find("filter").value)[2]);
    find("filter").onchange = list;
    list();
  }

  function places(block, is) {
    const items = block.places.map((place, k) => [place, k]).filter(([place]) => is(place)).map(([place, k]) => {
      const length = Parts.duration(data, place.n_timesteps);
      return make("li", {}, make("button", { type: "button", class: VERDICTS[place.verdict][1], "data-place": k, "aria-pressed": String(k === shown.place), onclick: () => go(k, false) },
        make("span", {}, `${moment(place.first, data.isTime)}, ${length}`), make("small", {}, told(place))));
    });
    find("places").replaceChildren(items.length ? make("ul", { class: "places" }, ...items) : make("p", { class: "message" }, "None."));
  }

  /** Look at a place without leaving where the reader is; the address keeps it. */
  function go(k, fromChart) {
    history.replaceState(null, "", link(shown.k, k));
    find("unknown").hidden = true;
    showPlace(k, fromChart);
    Offbeat.attend(find("place"));
  }

  function closePlace() {
    if (shown && shown.detail) { shown.detail.remove(); shown.detail = null; }
    if (shown) { shown.place = null; if (shown.chart) shown.chart.choose(null); }
    find("place").replaceChildren();
  }

  function showPlace(k, stay = false) {
    closePlace();
    const place = shown.block.places[k];
    shown.place = k;
    document.querySelectorAll("#places button").forEach((button) => button.setAttribute("aria-pressed", String(Number(button.dataset.place) === k)));
    shown.chart.choose(k);
    if (!stay) shown.chart.show(place.first, place.last);
    const title = make("h3", {}, `${place.verdict === "missed" ? "Missed event" : "Alarm"} of ${moment(place.first, data.isTime)}`);
    const words = make("p", {}, `${moment(place.first, data.isTime)} to ${moment(place.last, data.isTime)}, ${Parts.duration(data, place.n_timesteps)}, in the ${place.span} span: ${told(place)}. ${place.peak === null ? "There is no score here." : `Highest score ${number(place.peak)}, threshold ${number(shown.asset.threshold)}.`}`);
    const [bars, key, chart, bands] = [make("div"), make("div"), make("div"), make("div")];
    const few = place.shares.slice(0, 12).filter((one) => one.share > 0);
    find("place").replaceChildren(title, words, make("h3", {}, "Each channel's share of the score"), bars, make("h3", {}, "What was read, and what the model expected"), key, chart, bands);
    Offbeat.shares(bars, few);
    if (!few.length) bars.replaceChildren(make("p", { class: "muted" }, "No channel stands out: there is no score here."));
    if (place.detail) shown.detail = close(place, key, chart, bands);
    else chart.replaceChildren(make("p", { class: "message" }, "This page has room for the strongest alarms only, and this is none of them: its readings are in the picture above."));
  }

  function close(place, key, chart, bands) {
    Offbeat.legend(key, [{ name: "read", colour: "--reading" }, { name: "expected", colour: "--estimate", kind: "dashed" }]);
    const order = place.shares.map(({ channel }) => data.channels.indexOf(channel));
    const named = place.shares.map(({ channel, share }) => `${channel}: ${percent(share)} of the score`);
    const interval = { first: place.first, last: place.last, text: told(place), isFalse: place.verdict === "false", isOutside: place.verdict === "outside" };
    const drawn = Offbeat.timeline(chart, {
      isTime: data.isTime, step: data.step, timestamps: times(place.detail), channels: named, readings: order.map((c) => place.detail.readings[c]),
      estimates: order.map((c) => place.detail.estimates[c]), alarms: place.verdict === "missed" ? [] : [interval], events: place.verdict === "missed" ? [{ ...interval, isMissed: true }] : undefined,
    }, { label: "Readings of each channel, and what the model expected", mostChannels: 4 });
    if (place.verdict !== "missed") drawn.select(0);
    const spectra = Figures.bands(bands, shown.block.usual_bands, place.detail.bands);
    return { remove: () => [drawn, ...spectra].forEach((part) => part.remove()) };
  }

  function figures(asset, block) {
    find("figures").replaceChildren();
    const panel = (title, note) => {
      const [chart, key] = [make("div"), make("div")];
      find("figures").append(make("figure", {}, make("h3", {}, title), key, chart, note ? make("figcaption", {}, note) : ""));
      return [chart, key];
    };
    // both before the first is drawn: each is as wide as the other leaves it
    const scores = panel("Scores", "Scores of normal readings should lie left of the threshold, those of labelled events right of it; where calibration and test differ, normal has changed.");
    const recall = panel("Precision and recall, by timesteps", block.curve.length ? "Every threshold there could be; the point is the one in use. It was chosen without looking at these labels." : "");
    shown.parts.push(...Figures.histogram(...scores, block.histogram, asset.threshold));
    shown.parts.push(...Figures.curve(...recall, block.curve, asset.metrics));
  }

  // ---- start ----

  find("utc").hidden = !data.isTime;
  for (const id of ["result", "trained", "judged"]) find(id).textContent = data.about[id];
  Parts.tiles(data);
  Parts.doubts(data);
  Parts.methods(data);
  Parts.wrong(data, link);
  Parts.assets(data, link);
  Parts.lineage(data);
  find("choice").replaceChildren(...data.assets.map((asset, k) => make("option", { value: k }, Offbeat.shortened(asset.asset, 80))));
  find("choice").onchange = (event) => { location.hash = link(Number(event.target.value)); };
  find("before").onclick = () => { location.hash = link(shown.k - 1); };
  find("after").onclick = () => { location.hash = link(shown.k + 1); };
  find("search").oninput = (event) => {
    const wanted = event.target.value.toLowerCase();
    let n = 0;
    document.querySelectorAll("#assets tr[data-asset]").forEach((row) => {
      row.hidden = !data.assets[row.dataset.asset].asset.toLowerCase().includes(wanted);
      n += !row.hidden;
    });
    find("none-found").hidden = n > 0;
  };
  document.documentElement.dataset.ready = "words"; // pictures follow, each when it is near
  const addressChanged = new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
  if (!addressed().isAddress) await Promise.race([near(find("asset")), addressChanged]);
  Offbeat.run(await Offbeat.inflate(find("plotly").textContent));
  addEventListener("hashchange", follow); // before the first, which may still be at work when the address changes
  await follow();
  document.documentElement.dataset.ready = "pictures";
  near(find("loss")).then(() => Parts.loss(data));
})();
