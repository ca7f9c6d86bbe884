/* Drawing that all pages share, on Plotly. A plain script: it makes one global, `Offbeat`, and touches nothing else.

Text from outside (names of assets and channels, kinds of events) may be anything; it is shown as text, never as markup.

Offbeat.timeline(element, data, options) -> chart
    Readings, score, threshold, alarms, labelled events and channel shares over one axis that zooms.
    data = {
      isTime: true,             timestamps are times; false: they are positions of an integer index
      timestamps: [...],        (n) ascending; times in milliseconds since 1970 (UTC) or as texts that Date.parse reads
      step: 600000,             optional: from one timestep to the next; by default the least distance of two
      scores: [...],            (n) numbers, null where there is none; leave it out to draw readings alone
      threshold: 3.2,           null or absent: none
      channels: ["flow", ...],  (f)
      readings: [[...], ...],   (f) lists of n numbers or nulls, a list for each channel
      estimates: [[...], ...],  optional, alike: what the model expected instead
      shares: [row, ...],       optional, (n) rows of f shares, or null where there is no alarm
      alarms: [{first, last, text, isFalse, isOutside}, ...],   first and last timestep of each; text is shown beside
                                the pointer; false ones are hollow, those outside of what is judged are grey
      events: [{first, last, text, isMissed}, ...],  optional: labelled ones
      spans: [{first, name}, ...],                   optional: where the training span and the others begin
    }
    options = {
      label: "...",             what the chart is, for those who do not see it
      onAlarm: (k) => ...,      optional: alarm k was clicked
      mostChannels: 8,          more are drawn on demand
      thin: (data, x, [first, last]) => {data, x},   optional: what is drawn of that interval; see thinning.js
    }
    chart.show(first, last)     zoom to an interval, a margin around it
    chart.whole()               zoom out
    chart.range()               [first, last] in sight
    chart.select(k)             mark alarm k; null: none
    chart.remove()              before `element` is used for something else

    The answer of POST /score_csv has these names: `timestamps`, `scores`, `threshold`, `channels`, `shares`; its
    `events` are the `alarms` here. Readings are in the file that was sent.

Offbeat.figure(element, draw, label) -> {remove}
    Any other figure: `draw(colour)` returns {data, layout} for Plotly, `colour("--ink")` being the colour of style.css;
    it is called again when the reader turns from light to dark.
Offbeat.shares(element, [{channel, share}, ...])    bars of each channel's share of the score
Offbeat.legend(element, [{name, colour, kind}, ...])   kind: line, dashed, area, area hollow
Offbeat.make(tag, {attribute: value}, ...children)  an element; children are elements or text
Offbeat.moment(timestamp, isTime), Offbeat.number(value), Offbeat.percent(share), Offbeat.count(3, "row"),
Offbeat.duration(ms)                                as people write them
Offbeat.place(timestamp)                            as a number: milliseconds since 1970, or the place in an integer index
Offbeat.escaped(text), Offbeat.shortened(text, n)   for Plotly, which reads some markup
Offbeat.inflate(base64) -> Promise of the text that was compressed with gzip
Offbeat.attend(element)                             scroll to what a click opened, and give it the focus
Offbeat.run(code)                                   run a script that came as text
*/
"use strict";

const Offbeat = (() => {
  const STRIP = { lanes: 52, score: 170, channel: 86, share: 13, gap: 24, top: 8, bottom: 34 }; // pixels
  const figures = new Set(); // what is drawn anew when light turns dark

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => figures.forEach((redraw) => redraw()));

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function shortened(text, n) {
    const letters = Array.from(String(text));
    return letters.length <= n ? letters.join("") : letters.slice(0, n - 1).join("") + "…";
  }

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

  function number(value) {
    if (!isNumber(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toPrecision(3);
    return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 6 : 3 });
  }

  /** A length of time in milliseconds, by its two largest units. */
  function duration(ms) {
    if (ms < 1000) return `${number(ms)} ms`;
    let left = Math.round(ms / 1000);
    const parts = [];
    for (const [unit, seconds] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      const whole = Math.floor(left / seconds);
      left -= whole * seconds;
      if (whole) parts.push(`${whole} ${unit}`);
    }
    return parts.slice(0, 2).join(" ");
  }

  const percent = (share) => (isNumber(share) ? `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}%` : "–");

  const count = (n, thing) => `${n.toLocaleString("en")} ${thing}${n === 1 ? "" : "s"}`;

  const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?(?:[zZ]|([+-])(\d\d):?(\d\d)?)?$/;

  /** A timestamp as a number: milliseconds since 1970 and parts of them, or the place in an integer index. */
  const place = (timestamp) => {
    if (typeof timestamp !== "string") return timestamp;
    const found = ISO.exec(timestamp);
    if (!found) return Date.parse(timestamp);
    const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = 0, sign, aheadHours, aheadMinutes = 0] = found;
    const ahead = sign ? Number(`${sign}1`) * (60 * aheadHours + Number(aheadMinutes)) : 0;
    return Date.UTC(year, month - 1, day, hour, minute - ahead, second) + Number(`0.${fraction}e3`);
  };

  function moment(timestamp, isTime) {
    if (!isTime) return String(timestamp);
    const text = new Date(place(timestamp)).toISOString();
    return text.slice(0, 10) + " " + (text.endsWith(":00.000Z") ? text.slice(11, 16) : text.slice(11, 23).replace(".000", ""));
  }

  async function inflate(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function run(code) {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    script.remove();
  }

  // ---- figures ----

  function axis(more = {}) {
    return {
      gridcolor: colour("--grid"), linecolor: colour("--line"), zeroline: false, automargin: true,
      tickfont: { size: 11, color: colour("--muted") }, title: { font: { size: 12, color: colour("--muted") } }, ...more,
    };
  }

  const themed = (layout) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, autosize: true,
    margin: { l: 48, r: 12, t: 12, b: 40 },
    hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--line"), font: { color: colour("--ink"), size: 12 }, namelength: 40 },
    ...layout,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--ink") },
  });

  /** Plotly on one element: it works on after a call has returned, and must be done before the element is cleared. */
  function drawing(element) {
    let work = Promise.resolve();
    const also = (more) => { work = Promise.all([work, more]); };
    return {
      react: (...given) => also(Plotly.react(element, ...given)),
      relayout: (change) => also(Plotly.relayout(element, change)),
      clear: () => work.finally(() => Plotly.purge(element)),
    };
  }

  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false, showTips: false };

  function figure(element, draw, label) {
    element.classList.add("chart");
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", label);
    const drawn = drawing(element);
    const redraw = () => {
      const { data, layout } = draw(colour);
      const axes = Object.keys(layout).filter((key) => /^[xy]axis/.test(key));
      for (const key of new Set([...axes, "xaxis", "yaxis"])) layout[key] = axis(layout[key]);
      drawn.react(data, themed({ dragmode: false, ...layout }), CONFIG);
    };
    redraw();
    figures.add(redraw);
    return { remove: () => { figures.delete(redraw); drawn.clear(); } };
  }

  // ---- the timeline ----

  /** Where each strip lies, from the top: {lanes, score, shares, channels: [...]}, pixels; and their height together. */
  function strips(data, n) {
    let y = STRIP.top;
    const take = (height) => { y += STRIP.gap; const strip = [y, y + height]; y += height; return strip; };
    const places = { lanes: take(data.events ? STRIP.lanes : STRIP.lanes / 2) };
    if (data.scores) places.score = take(STRIP.score);
    if (data.shares) places.shares = take(2 * STRIP.share * data.channels.length);
    places.channels = data.channels.slice(0, n).map(() => take(STRIP.channel));
    return { places, height: y };
  }

  const line = (x, y, name, color, yaxis, more = {}) => ({
    type: "scatter", mode: "lines", x, y, name: escaped(shortened(name, 40)), yaxis, connectgaps: false,
    line: { color, width: 1.3, ...more }, hovertemplate: "%{y:.5~g}",
  });

  /** Bars of a lane; one that lasts a moment is still two pixels wide. */
  function lane(name, intervals, step, color, hollow) {
    const tint = (one) => colour(one.isOutside ? "--muted" : color(one));
    return {
      type: "bar", orientation: "h", yaxis: "y", name, width: 0.72,
      base: intervals.map((one) => place(one.first)), x: intervals.map((one) => place(one.last) - place(one.first) + step),
      y: intervals.map(() => name), hoverinfo: "text", textposition: "none",
      text: intervals.map((one) => escaped(shortened(one.text, 120))),
      marker: {
        color: intervals.map((one) => (hollow(one) ? "rgba(0,0,0,0)" : tint(one))),
        line: { color: intervals.map(tint), width: 2 },
      },
    };
  }

  /** Shares of the channels, a row each below one for its name; of the timesteps without an alarm only those beside one, which end its cells. */
  function heat(data, x) {
    const { shares, channels } = data;
    const kept = shares.map((_, i) => i).filter((i) => shares[i] || shares[i - 1] || shares[i + 1]);
    return {
      type: "heatmap", x: kept.map((i) => x[i]), yaxis: "y3", y: channels.flatMap((_, k) => [2 * k, 2 * k + 1]), zmin: 0, zmax: 1, showscale: false,
      z: channels.flatMap((_, k) => [kept.map(() => null), kept.map((i) => (shares[i] ? shares[i][k] : null))]), hoverongaps: false,
      colorscale: [[0, colour("--share-low")], [1, colour("--share-high")]],
      text: channels.flatMap((name) => Array(2).fill(kept.map(() => escaped(shortened(name, 40))))), hovertemplate: "%{text}: %{z:.0%}<extra></extra>",
    };
  }

  const isLog = (data) => {
    const highest = data.scores.reduce((most, score) => (score > most ? score : most), 0);
    return data.threshold > 0 && highest > 12 * data.threshold;
  };

  function traces(data, x, step, n, log) {
    const alarms = data.alarms || [];
    const all = [lane("alarms", alarms, step, (one) => (one.isFalse ? "--false-alarm" : "--alarm"), (one) => one.isFalse)];
    if (data.events) all.push(lane("labelled", data.events, step, () => "--event", (one) => one.isMissed));
    if (data.scores) {
      const scores = log ? data.scores.map((score) => (score > 0 ? score : null)) : data.scores;
      all.push(line(x, scores, "score", colour("--score"), "y2"));
      if (isNumber(data.threshold)) {
        const level = line([x[0], x[x.length - 1]], [data.threshold, data.threshold], "threshold", colour("--threshold"), "y2", { dash: "dash", width: 1.5 });
        all.push({ ...level, hoverinfo: "skip", hovertemplate: undefined });
      }
    }
    if (data.shares) all.push(heat(data, x));
    data.channels.slice(0, n).forEach((name, k) => {
      all.push(line(x, data.readings[k], name, colour("--reading"), `y${k + 4}`));
      if (data.estimates) all.push(line(x, data.estimates[k], "expected", colour("--estimate"), `y${k + 4}`, { dash: "dot", width: 1.6 }));
    });
    return all;
  }

  function timelineLayout(data, n, narrow, log) {
    const { places, height } = strips(data, n);
    const total = height + 1, lanes = data.events ? ["labelled", "alarms"] : ["alarms"];
    const domain = ([top, bottom]) => [1 - bottom / total, 1 - top / total];
    const layout = {
      height: height + STRIP.bottom, margin: { l: narrow ? 46 : 64, r: 10, t: 0, b: STRIP.bottom },
      barmode: "overlay", hovermode: "x unified", hoversubplots: "axis", dragmode: narrow ? false : "zoom",
      xaxis: axis({ type: data.isTime ? "date" : "linear", anchor: "free", position: 0, showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: colour("--muted"), spikedash: "dot", automargin: false, nticks: narrow ? 4 : 9, hoverformat: data.isTime ? "%Y-%m-%d %H:%M:%S" : "d" }),
      yaxis: axis({ domain: domain(places.lanes), fixedrange: true, showgrid: false, type: "category", automargin: false, categoryarray: lanes, categoryorder: "array", range: [-0.5, lanes.length - 0.5] }),
      annotations: [], shapes: [],
    };
    const title = (strip, text) => layout.annotations.push({
      text, xref: "paper", x: 0, xanchor: "left", yref: "paper", y: 1 - strip[0] / total, yanchor: "bottom", showarrow: false,
      font: { size: 12, color: colour("--muted") },
    });
    const strip = (place, key, text, more = {}) => {
      layout[key] = axis({ domain: domain(place), fixedrange: true, nticks: 4, automargin: false, ...more });
      title(place, text);
    };
    if (places.score) strip(places.score, "yaxis2", `<b>score</b>${log ? ", on a scale of powers of ten" : ""}`, log ? { type: "log", dtick: 1, exponentformat: "power" } : {});
    if (places.shares) {
      strip(places.shares, "yaxis3", "<b>share of the score</b>, while in alarm", { showticklabels: false, ticks: "", showgrid: false, range: [2 * data.channels.length - 0.5, -0.5] });
      data.channels.forEach((name, k) => layout.annotations.push({
        text: escaped(shortened(name, narrow ? 48 : 120)), xref: "paper", x: 0, xanchor: "left", yref: "y3", y: 2 * k, yanchor: "middle", showarrow: false,
        font: { size: 10, color: colour("--muted") },
      }));
    }
    places.channels.forEach((place, k) => strip(place, `yaxis${k + 4}`, escaped(shortened(data.channels[k], narrow ? 38 : 90)), { nticks: 3 }));
    return { layout, places };
  }

  function bands(data, step, chosen) {
    const band = (one, color, opacity) => ({
      type: "rect", xref: "x", yref: "paper", y0: 0, y1: 1, x0: place(one.first), x1: place(one.last) + step,
      fillcolor: color, opacity, line: { width: 0 }, layer: "below",
    });
    const shapes = (data.events || []).map((one) => band(one, colour("--event"), 0.14));
    for (const one of (data.spans || []).slice(1)) {
      shapes.push({ type: "line", xref: "x", yref: "paper", y0: 0, y1: 1, x0: place(one.first), x1: place(one.first), line: { color: colour("--muted"), width: 1, dash: "dot" } });
    }
    if (chosen !== null && (data.alarms || [])[chosen]) shapes.push(band(data.alarms[chosen], colour("--alarm"), 0.13));
    return shapes;
  }

  /** Names of the spans, where there is room for them: about 7 pixels a letter. */
  const spanNames = (data, ends, width) => (data.spans || []).map((one, k) => ({
    text: escaped(one.name), x: place(one.first), xref: "x", xanchor: "left", yref: "paper", y: 1, yanchor: "top", showarrow: false,
    font: { size: 11, color: colour("--muted") },
    visible: ((place((data.spans[k + 1] || { first: ends[1] }).first) - place(one.first)) / (ends[1] - ends[0])) * width > 7 * one.name.length,
  }));

  /** Lowest and highest of lists between two places, a little room around them; null where nothing was read. */
  function extent(lists, from, to, log) {
    let low = Infinity, high = -Infinity;
    for (const values of lists) {
      for (let i = from; i < to; i++) {
        const value = values[i];
        if (!isNumber(value) || (log && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return null;
    if (log) { low = Math.log10(low); high = Math.log10(high); }
    const room = 0.06 * (high - low) || Math.max(0.05 * Math.abs(high), 1e-6);
    return [low - room, high + room];
  }

  function firstFrom(x, bound) {
    let low = 0, high = x.length;
    while (low < high) { const middle = (low + high) >> 1; if (x[middle] < bound) low = middle + 1; else high = middle; }
    return low;
  }

  function timeline(element, data, options = {}) {
    const x = data.timestamps.map(place);
    const step = data.step || (x.length > 1 ? x.reduce((least, value, k) => (k && value > x[k - 1] ? Math.min(least, value - x[k - 1]) : least), Infinity) : 1);
    const ends = [x[0], x[x.length - 1] + step];
    const log = Boolean(data.scores) && isLog(data);
    let shown = [...ends], chosen = null, n = Math.min(options.mostChannels || 8, data.channels.length);

    const chart = make("div", { class: "chart", tabindex: 0, role: "group", "aria-label": `${options.label || "Readings and score"}. Arrow keys move in time, plus and minus zoom, 0 shows all.` });
    const button = (text, name, act) => make("button", { type: "button", "aria-label": name, title: name, onclick: act }, text);
    const more = make("button", { type: "button", onclick: () => { n = n < data.channels.length ? data.channels.length : options.mostChannels || 8; draw(); } });
    const tools = make("div", { class: "controls" },
      button("+", "Zoom in", () => zoom(0.5)), button("−", "Zoom out", () => zoom(2)), button("◀", "Earlier", () => move(-0.4)),
      button("▶", "Later", () => move(0.4)), button("Whole span", "Show the whole span", () => show(ends)), more);
    element.replaceChildren(tools, chart);
    const drawn = drawing(chart);

    function yRanges() {
      const [from, to] = [Math.max(firstFrom(x, shown[0]) - 1, 0), Math.min(firstFrom(x, shown[1]) + 1, x.length)];
      const ranges = {};
      const set = (key, lists, log) => { const range = extent(lists, from, to, log); if (range) ranges[`${key}.range`] = range; };
      if (data.scores) {
        const range = extent([data.scores], from, to, log);
        if (range && data.threshold > 0) { // the threshold stays in sight, and a score of nearly 0 does not squeeze the rest
          const level = log ? Math.log10(data.threshold) : data.threshold;
          ranges["yaxis2.range"] = log ? [Math.max(Math.min(range[0], level - 0.3), level - 3), Math.max(range[1], level + 0.3)] : [Math.min(range[0], 0), Math.max(range[1], 1.15 * level)];
        } else if (range) ranges["yaxis2.range"] = range;
      }
      for (let k = 0; k < n; k++) set(`yaxis${k + 4}`, data.estimates ? [data.readings[k], data.estimates[k]] : [data.readings[k]], false);
      return ranges;
    }

    function draw() {
      const { layout } = timelineLayout(data, n, element.clientWidth < 640, log);
      const seen = options.thin ? options.thin(data, x, shown) : { data, x };
      layout.shapes = bands(data, step, chosen);
      layout.annotations.push(...spanNames(data, ends, element.clientWidth - 60));
      layout.xaxis.range = [...shown];
      for (const [key, range] of Object.entries(yRanges())) layout[key.replace(".range", "")].range = range;
      more.hidden = data.channels.length <= (options.mostChannels || 8);
      more.textContent = n < data.channels.length ? `All ${data.channels.length} channels` : "Fewer channels";
      drawn.react(traces(seen.data, seen.x, step, n, log), themed(layout), CONFIG);
    }

    function show([first, last]) {
      const least = 4 * step;
      if (last - first < least) { const middle = (first + last) / 2; [first, last] = [middle - least / 2, middle + least / 2]; }
      const width = Math.min(last - first, ends[1] - ends[0]);
      first = Math.min(Math.max(first, ends[0]), ends[1] - width);
      shown = [first, first + width];
      if (options.thin) draw();
      else drawn.relayout({ "xaxis.range": [...shown], ...yRanges() });
    }
    const zoom = (factor) => { const [a, b] = shown, middle = (a + b) / 2, half = (factor * (b - a)) / 2; show([middle - half, middle + half]); };
    const move = (part) => { const by = part * (shown[1] - shown[0]); show([shown[0] + by, shown[1] + by]); };

    draw();
    chart.on("plotly_relayout", (change) => { // drawn with the mouse
      const range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] !== undefined) show(range.map(place));
    });
    chart.on("plotly_doubleclick", () => show(ends));
    chart.on("plotly_click", (event) => {
      const hit = event.points.find((point) => point.data.type === "bar" && point.data.name === "alarms");
      const at = hit ? hit.pointNumber : alarmAt(event.points[0]);
      if (at >= 0 && options.onAlarm) options.onAlarm(at);
    });
    const alarmAt = (point) => {
      const when = point ? place(point.x) : NaN;
      return (data.alarms || []).findIndex((one) => place(one.first) <= when && when < place(one.last) + step);
    };
    const keys = { ArrowLeft: () => move(-0.25), ArrowRight: () => move(0.25), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(ends) };
    chart.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    figures.add(draw);
    return {
      show: (first, last) => { const [a, b] = [place(first), place(last) + step], room = Math.max(b - a, 24 * step); show([a - room, b + room]); },
      whole: () => show(ends),
      range: () => [...shown],
      select: (k) => { chosen = k; drawn.relayout({ shapes: bands(data, step, chosen) }); },
      remove: () => { figures.delete(draw); drawn.clear(); element.replaceChildren(); },
    };
  }

  // ---- small parts of pages ----

  function shares(element, channels) {
    element.replaceChildren(make("ul", { class: "shares" }, ...channels.map(({ channel, share }) => {
      const bar = make("span");
      bar.style.width = `${100 * Math.max(Math.min(share, 1), 0)}%`;
      return make("li", {}, make("span", {}, channel), make("span", { class: "bar" }, bar), make("span", { class: "figure" }, percent(share)));
    })));
  }

  function legend(element, entries) {
    element.replaceChildren(make("ul", { class: "legend" }, ...entries.map(({ name, colour: tint, kind }) => {
      const mark = make("i", { class: kind, "aria-hidden": "true" });
      mark.style.color = mark.style.borderColor = `var(${tint})`;
      return make("li", {}, mark, name);
    })));
  }

  /** Bring what a click opened into sight, and let the keyboard and readers of the screen go on from there. */
  function attend(element) {
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  }

  return { timeline, figure, shares, legend, make, moment, number, percent, count, duration, place, escaped, shortened, inflate, run, attend };
})();
