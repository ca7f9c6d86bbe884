/* The service's page, its words: the model card, what an answer says, its alarms, and what is wrong. One global, `ServiceParts`. */
"use strict";

const ServiceParts = (() => {
  const { make, number, percent, count, duration, moment } = Offbeat;
  const PAGE = 60; // alarms that are listed at once

  /** How long some timesteps are, in words; `step` in milliseconds. */
  const length = (n, isTime, step) => (isTime ? duration(n * step) : count(n, "timestep"));

  /** A period of a model card in milliseconds: P0DT0H10M0S, or whole numbers of an integer index. */
  function period(card) {
    if (typeof card.period === "number") return { isTime: false, step: card.period };
    const [, days, hours, minutes, seconds] = /^P(\d+)DT(\d+)H(\d+)M([\d.]+)S$/.exec(card.period);
    return { isTime: true, step: 1000 * (86400 * days + 3600 * hours + 60 * minutes + Number(seconds)) };
  }

  function promise(facts) {
    const [weekly, each] = [facts.promised_false_alarms_per_week, facts.promised_false_alarms_per_10000_timesteps];
    if (typeof weekly === "number") return `While it runs as usual, at most ${number(weekly)} false alarm${weekly === 1 ? "" : "s"} a week ${weekly === 1 ? "is" : "are"} to be expected.`;
    if (typeof each === "number") return `While it runs as usual, at most ${number(each)} false alarms in 10,000 timesteps are to be expected.`;
    return "No rate of false alarms is promised for it: its threshold comes from a rule without a budget.";
  }

  const facts = (rows) => make("dl", { class: "facts" }, ...rows.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

  /** What a model card says for an asset: in a model of several groups, what it says of its group. */
  const cardOf = (model, asset) => (model.groups ? { ...model, ...model.groups[model.assets[asset].group] } : model);

  const long = (list) => (list.length > 12 ? make("details", {}, make("summary", {}, count(list.length, "name")), list.join(", ")) : list.join(", "));
  const hash = (value) => (value ? make("code", { title: value }, value.slice(0, 12)) : null);

  function card(element, model) {
    const m = model.metrics, names = Object.keys(model.assets);
    const judged = m.n_events ? `${m.n_events_found} of ${count(m.n_events, "labelled event")} found, ${count(m.false_alarms, "false alarm")}${m.normal_days ? ` in ${number(m.normal_days)} normal days` : ""}` : null;
    const head = [
      ["Version", `${model.version}, registered ${moment(model.registered, true)}`],
      ["When it was judged", judged],
      ["Ranking, VUS-PR", typeof m.vus_pr === "number" ? `${number(m.vus_pr)}, 1 being perfect` : null],
    ];
    if (!model.groups) { element.replaceChildren(facts([...head, ...group(model, names)])); return; }
    const members = Object.fromEntries(Object.keys(model.groups).map((name) => [name, []]));
    names.forEach((name) => members[model.assets[name].group].push(name));
    element.replaceChildren(facts([...head, ["Assets", count(names.length, "asset")]]), ...Object.entries(model.groups).flatMap(([name, own]) => [make("h3", {}, name), facts(group(own, members[name]))]));
  }

  /** Rows of facts of a group, or of a model of one. */
  function group(own, names) {
    const { isTime, step } = period(own);
    return [
      ["Assets", long(names)],
      ["Channels", long(own.channels)],
      ["One reading every", isTime ? duration(step) : count(step, "index step")],
      ["It looks at", `${isTime ? `${duration(own.window_size * step)}, ` : ""}${count(own.window_size, "timestep")} at once`],
      ["A score is final", own.delay ? `${length(own.delay, isTime, step)} after its reading` : "as soon as its reading is there"],
      ["Kind", own.lineage.method],
      ["Readings, hash", hash(own.lineage.data_hash)],
      ["Parameters, hash", hash(own.lineage.params_hash)],
      ["Commit", hash(own.lineage.git_commit)],
    ];
  }

  function verdict(answer, isTime, step) {
    const n = answer.events.length, last = answer.events[n - 1], end = answer.timestamps[answer.timestamps.length - 1];
    const scored = answer.scores.filter((score) => score !== null).length;
    if (!scored) return "No timestep has a score: every stretch of readings is shorter than the model looks at.";
    if (!n) return "No alarm: these readings are usual for this machine.";
    const total = answer.events.reduce((sum, event) => sum + event.n_timesteps, 0);
    const since = last.last === end ? `It has been in alarm since ${moment(last.first, isTime)}, to the end of these readings.` : `The last one ended at ${moment(last.last, isTime)}.`;
    return `${count(n, "alarm")}, ${length(total, isTime, step)} in all. ${since}`;
  }

  function notes(element, answer, asset, { isTime, step, byName, hasPictures }) {
    const stamps = answer.timestamps, says = [`${count(stamps.length, "timestep")} from ${moment(stamps[0], isTime)} to ${moment(stamps[stamps.length - 1], isTime)}, scored by model ${answer.lineage.model}.`];
    const none = answer.scores.filter((score) => score === null).length;
    if (byName) says.push("The asset is the one that the file is named after.");
    if (none) says.push(`${count(none, "timestep")} without a score: nothing was read there, or too little between long gaps.`);
    if (answer.settled_from === null) says.push("No score had all the readings before it that it asks for: with more of them these scores may change.");
    else if (answer.settled_from !== stamps[0]) says.push(`Scores before ${moment(answer.settled_from, isTime)} had fewer readings before them than they ask for.`);
    const rows = [make("p", {}, says.join(" "))];
    if (asset && asset.warning) rows.push(make("p", {}, make("strong", { class: "bad" }, "Threshold: "), asset.warning));
    if (!hasPictures) rows.push(make("p", { class: "message" }, "Nothing can be drawn: this service was started without Plotly's code. Pack it with make bento, or install plotly beside it. The alarms are listed all the same."));
    element.replaceChildren(...rows);
  }

  const leading = (event, n = 2) => (event.channels || []).slice(0, n).map(({ channel, share }) => `${Offbeat.shortened(channel, 40)} ${percent(share)}`).join(", ");
  const told = (event) => [event.peak_ratio === null ? null : `${number(event.peak_ratio)} × threshold`, leading(event)].filter(Boolean).join(", ");

  /** Each channel's share of an alarm, largest first: timesteps above the threshold weigh as their score. */
  function shares(answer, event) {
    const sums = answer.channels.map(() => 0);
    let total = 0;
    for (let k = answer.timestamps.indexOf(event.first); k < answer.timestamps.length && answer.alarms[k]; k++) {
      if (answer.shares[k] && answer.scores[k] > answer.threshold) {
        total += answer.scores[k];
        answer.shares[k].forEach((share, c) => { sums[c] += share * answer.scores[k]; });
      }
      if (answer.timestamps[k] === event.last) break;
    }
    return answer.channels.map((channel, c) => ({ channel, share: total ? sums[c] / total : 0 })).sort((one, other) => other.share - one.share);
  }

  /** Buttons for a page of the alarms; `go(k)` opens one. */
  function alarms(element, answer, { isTime, step, order, from, chosen, go, turn }) {
    const all = answer.events.map((event, k) => ({ event, k }));
    if (order === "peak") all.sort((one, other) => other.event.peak_score - one.event.peak_score);
    const items = all.slice(from, from + PAGE).map(({ event, k }) => make("li", {}, make("button", { type: "button", class: "is-alarm", "data-alarm": k, "aria-pressed": String(k === chosen), onclick: () => go(k) },
      make("span", {}, `${moment(event.first, isTime)}, ${length(event.n_timesteps, isTime, step)}`), make("small", {}, told(event)))));
    const turns = make("div", { class: "controls" },
      make("button", { type: "button", disabled: from === 0, onclick: () => turn(from - PAGE) }, "Previous"),
      make("button", { type: "button", disabled: from + PAGE >= all.length, onclick: () => turn(from + PAGE) }, "Next"),
      make("span", { class: "muted" }, `${(from + 1).toLocaleString("en")} to ${Math.min(from + PAGE, all.length).toLocaleString("en")} of ${all.length.toLocaleString("en")}`));
    element.replaceChildren(make("ul", { class: "places" }, ...items), ...(all.length > PAGE ? [turns] : []));
  }

  function alarm(element, answer, event, { isTime, step }) {
    const bars = make("div");
    const words = `${moment(event.first, isTime)} to ${moment(event.last, isTime)}, ${length(event.n_timesteps, isTime, step)}. Highest score ${number(event.peak_score)}, threshold ${number(answer.threshold)}.`;
    element.replaceChildren(make("h3", {}, `Alarm of ${moment(event.first, isTime)}`), make("p", {}, words), make("p", { class: "muted" }, "Each channel's share of the score:"), bars);
    Offbeat.shares(bars, shares(answer, event).slice(0, 12).filter((one, k) => k === 0 || one.share > 0));
  }

  const PROBLEMS = { // by code of the service: what it means, and what to do
    bad_content: ["This file cannot be read as readings", "Correct it and choose it again."],
    bad_shape: ["These readings do not fit the model", "Compare the file with “What a file must look like”."],
    unknown_asset: ["The model does not know this machine", "Another model may have taken its place: choose the asset anew."],
    too_large: ["This is more than the service takes", "Choose a shorter file."],
    overloaded: ["The service is busy", "Try again in a moment."],
    timeout: ["The service took too long", "Try again when it is less busy, or choose a shorter file."],
  };

  /** What is wrong, in words; `line` is the text of the line that it is about. */
  function problem(element, { code, message, field, line }) {
    if (!message) { element.replaceChildren(); return; }
    const [title, remedy] = PROBLEMS[code] || ["This did not work", ""];
    const place = field && /^line /.test(field) ? `${field[0].toUpperCase()}${field.slice(1)}: ` : "";
    element.replaceChildren(make("div", { class: "problem" }, make("p", {}, make("strong", {}, title)), make("p", {}, `${place}${message}${/[.?!]$/.test(message) ? "" : "."}`),
      line ? make("pre", { tabindex: 0, "aria-label": "The line" }, Offbeat.shortened(line, 400)) : null, remedy ? make("p", { class: "muted" }, remedy) : null));
  }

  return { period, promise, cardOf, card, verdict, notes, alarms, alarm, problem, told, shares, length };
})();
