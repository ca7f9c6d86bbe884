/* Long series in few points: the lowest and the highest of each stretch in sight, so that no extreme is lost and a year
of minutes does not hold up the browser. For `thin` of Offbeat.timeline. One global, `Thinning`. */
"use strict";

const Thinning = (() => {
  const MOST_ROWS = 12_000, MOST_POINTS = 4000; // drawn as they are; else, more than a screen is wide

  /** What is drawn of an interval: `data` and its places `x`, all rows where they are few. `data.gaps`: rows without readings. */
  function inSight(data, x, [first, last]) {
    const from = Math.max(firstFrom(x, first) - 1, 0), to = Math.min(firstFrom(x, last) + 1, x.length);
    const starts = to - from > MOST_ROWS ? buckets(data, from, to) : null;
    const pick = starts ? (values) => extremes(values, starts, to) : (values) => values.slice(from, to);
    const shares = data.shares && (starts ? means(data.shares, starts, to) : data.shares.slice(from, to));
    return {
      x: starts ? places(x, starts, to) : x.slice(from, to),
      data: { ...data, scores: data.scores && pick(data.scores), readings: data.readings.map(pick), shares },
    };
  }

  function firstFrom(x, bound) {
    let low = 0, high = x.length;
    while (low < high) { const middle = (low + high) >> 1; if (x[middle] < bound) low = middle + 1; else high = middle; }
    return low;
  }

  /** First rows of stretches of equal length; a long gap is one of its own, unless there are more than a picture has room for. */
  function buckets(data, from, to) {
    const size = Math.ceil((to - from) / (MOST_POINTS / 2)), starts = new Set();
    for (let row = from; row < to; row += size) starts.add(row);
    const gaps = (data.gaps || []).filter((row) => from < row && row < to - 1);
    if (4 * gaps.length <= MOST_POINTS) gaps.forEach((row) => starts.add(row).add(row + 1));
    return [...starts].sort((one, other) => one - other);
  }

  /** Two points of each stretch, its first row and its middle; one where it has one row. */
  function each(starts, end, two) {
    const points = [];
    starts.forEach((start, k) => points.push(...two(start, k + 1 < starts.length ? starts[k + 1] : end)));
    return points;
  }

  const places = (x, starts, end) => each(starts, end, (start, stop) => (stop - start === 1 ? [x[start]] : [x[start], x[(start + stop) >> 1]]));

  const extremes = (values, starts, end) => each(starts, end, (start, stop) => {
    let low = -1, high = -1;
    for (let row = start; row < stop; row++) {
      if (values[row] === null || Number.isNaN(values[row])) continue;
      if (low < 0 || values[row] < values[low]) low = row;
      if (high < 0 || values[row] > values[high]) high = row;
    }
    const found = low < 0 ? [null, null] : [values[Math.min(low, high)], values[Math.max(low, high)]];
    return stop - start === 1 ? found.slice(1) : found;
  });

  const means = (rows, starts, end) => each(starts, end, (start, stop) => {
    const some = rows.slice(start, stop).filter(Boolean);
    const mean = some.length ? some[0].map((_, k) => some.reduce((sum, row) => sum + row[k], 0) / some.length) : null;
    return stop - start === 1 ? [mean] : [mean, mean];
  });

  return { inSight };
})();
