/* A CSV file of readings: its text, its parts where the service does not take it at once, and what it says at the
timestamps of an answer. One global, `ReadingsFile`. */
"use strict";

const ReadingsFile = (() => {
  const { place } = Offbeat;
  const BLOCK = 20_000; // rows that are read in some 100 ms

  /** The text of what was chosen; throws an Error in plain words. */
  async function textOf(blob) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(await blob.arrayBuffer());
    } catch (error) {
      if (error instanceof TypeError) throw new Error("This is not a text in UTF-8. If it comes from a spreadsheet, save it as “CSV UTF-8” and choose it again.");
      throw new Error("The file cannot be read. Has it been moved or changed since it was chosen?");
    }
  }

  /** A file that was read; `timeNames` are what its column of timestamps may be called. */
  function open(name, text, timeNames) {
    const lines = text.split(/\r\n|\n|\r/);
    while (lines.length > 1 && !lines[lines.length - 1].trim()) lines.pop();
    const delimiter = [",", ";", "\t"].reduce((best, one) => (count(lines[0], one) > count(lines[0], best) ? one : best));
    const names = cells(lines[0], delimiter).map((cell) => cell.trim());
    const timeAt = names.findIndex((one) => timeNames.includes(one.toLowerCase()));
    return { name, text, lines, delimiter, names, timeAt, n: lines.length - 1, size: new Blob([text]).size };
  }

  const count = (text, letter) => text.split(letter).length - 1;

  function cells(line, delimiter) {
    if (!line.includes('"')) return line.split(delimiter);
    const found = [""];
    let quoted = false;
    for (let k = 0; k < line.length; k++) {
      const letter = line[k];
      if (letter === '"' && quoted && line[k + 1] === '"') { found[found.length - 1] += '"'; k++; }
      else if (letter === '"') quoted = !quoted;
      else if (letter === delimiter && !quoted) found.push("");
      else found[found.length - 1] += letter;
    }
    return found;
  }

  /** Places of the rows in time, and a list of readings for each channel; between blocks of rows the page goes on. */
  async function columns(file, isTime) {
    if (file.columns) return file.columns;
    const x = new Float64Array(file.n), values = file.names.map(() => new Float64Array(file.n));
    for (let row = 0; row < file.n; row++) {
      if (row % BLOCK === BLOCK - 1) await new Promise((resolve) => { setTimeout(resolve); });
      const texts = cells(file.lines[row + 1], file.delimiter);
      const stamp = (texts[file.timeAt] || "").trim();
      x[row] = isTime ? place(stamp) : parseInt(stamp, 10);
      values.forEach((list, k) => { list[row] = texts[k] === undefined || texts[k].trim() === "" ? NaN : Number(texts[k]); });
    }
    file.columns = { x, values };
    return file.columns;
  }

  /** Score a file: at once where the service takes it, else part by part, each with the rows before it that its scores ask for.

  `send(text, n)` answers a CSV text whose rows begin n lines later than they seem to; `progress(n)` hears of rows done. */
  async function scored(file, { limits, context, isTime, send, progress }) {
    if (file.n <= limits.rows && file.size <= limits.body) return send(file.text, 0);
    const most = Math.max(Math.min(limits.rows, Math.floor((0.9 * limits.body * file.lines.length) / file.size)), 2);
    const { x } = await columns(file, isTime), before = Math.min(context, Math.floor(most / 2));
    let whole = null, fresh = 0; // the first row whose score is still wanted
    while (fresh < file.n) {
      const from = Math.max(0, fresh - before), to = Math.min(file.n, from + most);
      progress(fresh);
      const answer = await send([file.lines[0], ...file.lines.slice(from + 1, to + 1)].join("\n"), from);
      const part = kept(answer, fresh ? x[fresh] : -Infinity, to === file.n);
      whole = whole ? joined(whole, part) : part;
      const left = part.until === null ? -1 : x.findIndex((at, row) => row > fresh && at >= part.until);
      fresh = left < 0 ? to : Math.min(left, to);
    }
    return { ...whole, events: events(whole) };
  }

  /** What no later reading changes of an answer, from a place on; `until` is the place of what is left for the next part. */
  function kept(answer, first, isLast) {
    const x = answer.timestamps.map(place);
    const start = Math.max(x.findIndex((at) => at >= first), 0);
    let stop = isLast ? x.length : answer.final.lastIndexOf(true) + 1;
    if (stop <= start) stop = x.length;
    const part = { ...answer, until: stop < x.length ? x[stop] : null };
    for (const key of ["timestamps", "scores", "alarms", "shares", "final"]) part[key] = answer[key].slice(start, stop);
    return part;
  }

  function joined(one, other) {
    const both = { ...other, settled_from: one.settled_from };
    for (const key of ["timestamps", "scores", "alarms", "shares", "final"]) both[key] = one[key].concat(other[key]);
    return both;
  }

  /** The runs of alarms, as the service makes them of one answer; a long gap ends one. */
  function events(answer) {
    const x = answer.timestamps.map(place), step = leastStep(x), found = [];
    answer.alarms.forEach((alarm, k) => {
      if (!alarm) return;
      const last = found[found.length - 1];
      if (last && last.stop === k && x[k] - x[k - 1] < 1.5 * step) last.stop = k + 1;
      else found.push({ start: k, stop: k + 1 });
    });
    return found.map(({ start, stop }) => {
      const peak = answer.scores.slice(start, stop).reduce((most, score) => Math.max(most, score ?? 0), 0);
      return {
        first: answer.timestamps[start], last: answer.timestamps[stop - 1], n_timesteps: stop - start,
        peak_score: peak, peak_ratio: answer.threshold > 0 ? peak / answer.threshold : null,
      };
    });
  }

  const leastStep = (x) => x.reduce((least, at, k) => (k && at > x[k - 1] ? Math.min(least, at - x[k - 1]) : least), Infinity);

  /** An answer and the file's readings for Offbeat.timeline, with an empty row in each long gap, so that nothing is drawn there. */
  async function drawn(file, answer, isTime) {
    const places = answer.timestamps.map(place), step = places.length > 1 ? leastStep(places) : 1;
    const rows = [], x = [], gaps = []; // row of the answer at each place, -1 in a gap
    places.forEach((at, row) => {
      if (row && at - places[row - 1] > 1.5 * step) { gaps.push(x.length); rows.push(-1); x.push(places[row - 1] + step); }
      rows.push(row);
      x.push(at);
    });
    const { x: read, values } = await columns(file, isTime);
    const lists = answer.channels.map(() => new Float64Array(x.length).fill(NaN));
    const from = answer.channels.map((channel) => values[file.names.indexOf(channel)]);
    let k = 0;
    for (let row = 0; row < read.length; row++) {
      while (k + 1 < x.length && Math.abs(x[k + 1] - read[row]) <= Math.abs(x[k] - read[row])) k++;
      if (Math.abs(x[k] - read[row]) <= 0.51 * step) lists.forEach((list, c) => { if (from[c]) list[k] = from[c][row]; });
    }
    const at = (list) => rows.map((row) => (row < 0 ? null : list[row]));
    return { isTime, step, gaps, timestamps: x, scores: at(answer.scores), threshold: answer.threshold, channels: answer.channels, readings: lists, shares: answer.shares.some(Boolean) ? at(answer.shares) : undefined };
  }

  return { textOf, open, scored, drawn };
})();
