/* The evaluation page, the small pictures of one asset. Each returns what must be removed with it. One global, `Figures`. */
"use strict";

const Figures = (() => {
  const { make, number, percent } = Offbeat;
  const nothing = (element, text) => { element.replaceChildren(make("p", { class: "message" }, text)); return []; };

  function histogram(chart, key, { edges, log, groups }, threshold) {
    if (!edges.length) return nothing(chart, "There is no score to count.");
    const tints = ["--muted", "--reading", "--alarm"];
    const some = groups.map((group, k) => ({ ...group, tint: tints[k] })).filter((group) => group.n);
    Offbeat.legend(key, [...some.map((group) => ({ name: `${group.name} (${group.n.toLocaleString("en")})`, colour: group.tint })), { name: "threshold", colour: "--threshold", kind: "dashed" }]);
    const line = (group, colour) => ({
      type: "scatter", mode: "lines", line: { shape: "hv", color: colour(group.tint), width: 1.5 }, x: edges, y: [...group.shares, 0],
      fill: "tozeroy", fillcolor: faint(colour(group.tint)), hovertemplate: "%{y:.1%} from score %{x:.3~g}<extra></extra>",
    });
    return [Offbeat.figure(chart, (colour) => ({
      data: some.map((group) => line(group, colour)),
      layout: {
        height: 280, xaxis: { type: log ? "log" : "linear", title: { text: "score" }, ...(log ? { dtick: 1, exponentformat: "power" } : {}) }, yaxis: { title: { text: "share of the timesteps" }, tickformat: ".0%" },
        shapes: threshold > 0 ? [{ type: "line", x0: threshold, x1: threshold, y0: 0, y1: 1, yref: "paper", line: { color: colour("--threshold"), dash: "dash", width: 1.5 } }] : [],
      },
    }), "How often which score came, in calibration and test, and the threshold")];
  }

  /** A colour as #rrggbb, at a sixth of its strength. */
  const faint = (hex) => `${hex}2a`;

  function curve(chart, key, points, metrics) {
    if (!points.length) return nothing(chart, "No event is labelled in its test span, so there is no precision and no recall.");
    Offbeat.legend(key, [{ name: `threshold in use: precision ${percent(metrics.point_precision)}, recall ${percent(metrics.point_recall)}`, colour: "--threshold" }]);
    const order = [...points].sort((one, other) => one[0] - other[0]);
    return [Offbeat.figure(chart, (colour) => ({
      data: [
        { type: "scatter", mode: "lines", x: order.map((p) => p[0]), y: order.map((p) => p[1]), customdata: order.map((p) => number(p[2])), line: { color: colour("--reading"), shape: "linear" }, hovertemplate: "recall %{x:.0%}, precision %{y:.0%}<br>at threshold %{customdata}<extra></extra>" },
        { type: "scatter", mode: "markers", x: [metrics.point_recall], y: [metrics.point_precision], marker: { size: 12, color: colour("--threshold"), line: { width: 2, color: colour("--panel") } }, hovertemplate: "in use: recall %{x:.0%}, precision %{y:.0%}<extra></extra>" },
      ],
      layout: { height: 280, xaxis: { range: [0, 1.02], title: { text: "recall" }, tickformat: ".0%" }, yaxis: { range: [0, 1.04], title: { text: "precision" }, tickformat: ".0%" } },
    }), "Precision and recall of every threshold, and of the one in use")];
  }

  /** Energy of each band beside the usual one, where the channels are features of raw vibration snapshots. */
  function bands(element, usual, here) {
    const sensors = Object.keys(usual).filter((sensor) => usual[sensor].length > 1 && (here[sensor] || []).length);
    if (!sensors.length) return [];
    element.append(make("h3", {}, "Spectrum"), make("p", { class: "muted" }, "Energy in each band of the raw snapshots, the median here beside that of the normal training readings. The snapshots themselves are not kept beside the readings, so nothing finer can be drawn."));
    const key = make("div");
    element.append(key);
    Offbeat.legend(key, [{ name: "usual", colour: "--muted", kind: "area" }, { name: "here", colour: "--alarm", kind: "area" }]);
    return sensors.slice(0, 6).map((sensor) => {
      const chart = make("div");
      element.append(make("p", { class: "muted" }, sensor), chart);
      const names = (rows) => rows.map(({ low, high }) => `${number(low)}–${number(high)} Hz`);
      const bar = (rows, tint, name) => ({ type: "bar", name, x: names(rows), y: rows.map((row) => row.energy), marker: { color: tint }, hovertemplate: "%{x}: %{y:.3~g}<extra></extra>" });
      return Offbeat.figure(chart, (colour) => ({
        data: [bar(usual[sensor], colour("--muted"), "usual"), bar(here[sensor], colour("--alarm"), "here")],
        layout: { height: 220, barmode: "group", xaxis: { type: "category" }, yaxis: { title: { text: "energy" }, rangemode: "tozero" } },
      }), `Spectrum of ${sensor}`);
    });
  }

  return { histogram, curve, bands };
})();
