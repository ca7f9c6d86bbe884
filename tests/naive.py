"""Brute-force twins of the numeric core: plain loops, obviously right, slow."""

import math
from statistics import NormalDist

import numpy as np

# --- events and metrics -----------------------------------------------------------------------------------------------


def events_of(mask, segment_starts=()):
    events = []
    for t, on in enumerate(mask):
        if on and (t == 0 or not mask[t - 1] or t in segment_starts):
            events.append([t, t])
        if on:
            events[-1][1] = t + 1
    return events


def merge_events(events, max_gap, segment_starts=()):
    merged = []
    for start, stop in sorted(events):
        cut = merged and any(merged[-1][0] < s <= start for s in segment_starts)
        if merged and not cut and start - merged[-1][1] <= max_gap:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    return merged


def detection_delays(events, alarms):
    return [next((t - start for t in range(start, stop) if alarms[t]), float("nan")) for start, stop in events]


def event_counts(labels, alarms, segment_starts=()):
    events, runs = events_of(labels, segment_starts), events_of(alarms, segment_starts)
    found = [event for event in events if any(alarms[t] for t in range(*event))]
    return {
        "n_timesteps": len(labels),
        "n_labelled": sum(map(bool, labels)),
        "n_events": len(events),
        "n_events_found": len(found),
        "n_alarms": len(runs),
        "false_alarms": sum(not any(labels[t] for t in range(*run)) for run in runs),
        "true_positives": sum(bool(label and alarm) for label, alarm in zip(labels, alarms, strict=True)),
        "false_positives": sum(bool(alarm and not label) for label, alarm in zip(labels, alarms, strict=True)),
        "pa_true_positives": sum(stop - start for start, stop in found),
    }


def average_precision(labels, scores):
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        flagged = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        recall = sum(flagged) / sum(labels)
        area += (recall - recall_before) * sum(flagged) / len(flagged)
        recall_before = recall
    return area


def best_f1(labels, scores):
    best = 0.0
    for threshold in set(scores):
        flagged = [score >= threshold for score in scores]
        hits = sum(bool(label and flag) for label, flag in zip(labels, flagged, strict=True))
        best = max(best, 2 * hits / (sum(flagged) + sum(labels)))
    return best


def vus_pr(labels, scores, max_buffer, n_thresholds=250):
    n, events = len(labels), events_of(labels)
    step = (n - 1) / (n_thresholds - 1)
    places = [int(k * step) for k in range(n_thresholds - 1)] + [n - 1]
    thresholds = [sorted(scores, reverse=True)[place] for place in places]
    areas = []
    for buffer in range(max_buffer + 1):
        weights = [float(label) for label in labels]
        for start, stop in events:
            for d in range(1, buffer // 2 + 1):
                for t in (start - d, stop - 1 + d):
                    if 0 <= t < n:
                        weights[t] = min(1.0, weights[t] + (1 - d / buffer) ** 0.5)
        groups = []  # buffered events; those that touch or overlap are one
        for start, stop in events:
            first, last = start - buffer // 2, stop - 1 + buffer // 2
            if groups and first <= groups[-1][1]:
                groups[-1][1] = last
            else:
                groups.append([first, last])
        area, recall_before = 0.0, 0.0
        for threshold in thresholds:
            flagged = [t for t in range(n) if scores[t] >= threshold]
            hits = sum(weights[t] for t in flagged)
            buffered = sum(weights[t] for t in flagged if not labels[t])
            touched = sum(any(first <= t <= last for t in flagged) for first, last in groups)
            recall = min(hits / (sum(labels) + buffered / 2), 1.0) * touched / len(groups)
            area += (recall - recall_before) * hits / len(flagged)
            recall_before = recall
        areas.append(area)
    return sum(areas) / len(areas)


def autocorrelation_at(values, lag):
    mean = sum(values) / len(values)
    centred = [value - mean for value in values]
    products = [centred[t] * centred[t + lag] for t in range(len(values) - lag)]
    return sum(products) / sum(value * value for value in centred)


def naive_grid(stamps, values, period, max_gap):
    """Place readings on a grid one by one: the index, the values and the segment starts that follow."""
    cells = {}
    for stamp, row in zip(stamps, values, strict=True):
        if all(value != value for value in row):
            continue
        point = 0
        while stamps[0] + (point + 0.5) * period <= stamp:
            point += 1
        cells.setdefault(point, []).append(row)
    index, grid, starts, last = [], [], [0], min(cells)
    for point in range(min(cells), max(cells) + 1):
        if point not in cells:
            continue
        if point - last - 1 > max_gap:
            starts.append(len(index))
        else:
            for empty in range(last + 1, point):
                index.append(stamps[0] + empty * period)
                grid.append([float("nan")] * len(values[0]))
        columns = [[value for value in column if value == value] for column in zip(*cells[point], strict=True)]
        index.append(stamps[0] + point * period)
        grid.append([sum(column) / len(column) if column else float("nan") for column in columns])
        last = point
    return index, grid, starts


# --- windows and scores -----------------------------------------------------------------------------------------------


def window_starts(segments, positions, window_size, stride):
    return [t for start, stop in segments for t in range(start, stop - window_size + 1) if positions[t] % stride == 0]


def edge_starts(segments, window_size):
    long_enough = [(start, stop) for start, stop in segments if stop - start >= window_size]
    return sorted({t for start, stop in long_enough for t in (start, stop - window_size)})


def covered(starts, window_size, n_timesteps):
    return [any(start <= t < start + window_size for start in starts) for t in range(n_timesteps)]


def reach_mask(usable, segments, before, after):
    return [
        start <= t - before and t + after < stop and all(usable[t - before : t + after + 1])
        for start, stop in segments
        for t in range(start, stop)
    ]


def hold_missing(window):
    columns = []
    for column in zip(*window, strict=True):
        read = [value for value in column if value == value]
        last, held = read[0] if read else 0.0, []
        for value in column:
            last = value if value == value else last
            held.append(last)
        columns.append(held)
    return [list(row) for row in zip(*columns, strict=True)]


def timestep_errors(window_errors, segments, positions, n_channels, window_size, horizon, stride, delay):
    """Take the errors of the last `horizon` timesteps of the window at each start, rows of channels, from a mapping."""
    errors, head = [], window_size - horizon
    for start, stop in segments:
        for t in range(start, stop):
            near = [s for s in range(t - window_size + 1, t - head + 1) if start <= s and s + window_size <= stop]
            votes = [s for s in near if positions[s] % stride == 0 and s + window_size - 1 - t <= delay]
            votes = votes or [s for s in near if s in (start, stop - window_size)]
            errors.append([mean([window_errors[s][t - s - head][f] for s in votes]) for f in range(n_channels)])
    return errors


def errors_of(readings, low, middle, high, kind):
    """Errors (N, H, F) of each kind, reading by reading; NaN where missing."""
    result = np.full(np.shape(readings), np.nan)
    for place, value in np.ndenumerate(readings):
        width = float(high[place]) - float(low[place])
        outside = max(float(low[place]) - value, value - float(high[place]), 0.0)
        off = value - float(middle[place])
        of_kind = {
            "signed": off,
            "squared": off * off,
            "absolute": abs(off),
            "interval_width": width,
            "interval_exceedance": outside,
            "interval_score": width + 10 * outside,
        }
        if value == value:
            result[place] = of_kind[kind]
    return result


def mean(values):
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def moving_mean(values, segments, width, lead):
    return [
        [
            mean(column[max(start, t + lead + 1 - width) : min(t + lead + 1, stop)])
            for column in zip(*values, strict=True)
        ]
        for start, stop in segments
        for t in range(start, stop)
    ]


def usual_errors(errors, least):
    means = [mean(column) for column in zip(*errors, strict=True)]
    others = mean(means)
    others = 1.0 if others != others else others
    return [max(others if value != value else value, least) for value in means]


def channel_shares(by_channel):
    shares = []
    for row in by_channel:
        total = sum(value for value in row if value > 0)
        shares.append([value / total if value > 0 else 0.0 for value in row])
    return shares


def window_errors(readings, estimates, rest):
    """Error of a window (H rows of channels) for each channel, the same for all its readings; NaN where missing."""
    errors = np.full(np.shape(readings), np.nan)
    for f in range(len(readings[0])):
        known = [(row[f], guess[f]) for row, guess in zip(readings, estimates, strict=True) if row[f] == row[f]]
        if known:
            worst = mean([(value - guess) ** 4 for value, guess in known])
            centre = mean([value for value, _ in known])
            moves = math.sqrt(mean([(value - centre) ** 2 for value, _ in known]))
            for t, row in enumerate(readings):
                errors[t, f] = math.sqrt(worst) / (moves + rest) if row[f] == row[f] else math.nan
    return errors


def calendar_code(moments):
    """Sine and cosine of the hour of the day and of the hour since Thursday 0:00, of datetimes in UTC."""
    rows = []
    for moment in moments:
        hour = moment.hour + moment.minute / 60 + moment.second / 3600
        hours = (hour / 24, ((moment.weekday() - 3) % 7 * 24 + hour) / 168)
        rows.append([wave(2 * math.pi * turn) for turn in hours for wave in (math.sin, math.cos)])
    return rows


def block_maxima(scores, normal, segment_starts, block_size):
    maxima = []
    for start, stop in events_of(normal, segment_starts):
        while start + block_size <= stop:
            known = [score for score in scores[start : start + block_size] if score == score]
            maxima += [max(known)] if known else []
            start += block_size
    return maxima


def pareto_fit(excesses):
    ordered, n = sorted(excesses), len(excesses)
    a0 = sum(ordered) / n
    a1 = sum(value * (n - place) / (n - 1) for place, value in enumerate(ordered, 1)) / n
    return 2 - a0 / (a0 - 2 * a1), 2 * a0 * a1 / (a0 - 2 * a1)


def point_f1(normal, labelled, threshold):
    hits = sum(score > threshold for score in labelled)
    return 2 * hits / (hits + sum(score > threshold for score in normal) + len(labelled))


def labelled_threshold(normal, labelled):
    scores = sorted({*normal, *labelled}, reverse=True)
    return max(
        ((upper + lower) / 2 for upper, lower in zip(scores, [*scores[1:], -math.inf], strict=True)),
        key=lambda threshold: (point_f1(normal, labelled, threshold), threshold),
    )


def gaussian_epsilon(normal, labelled):
    """Mean, deviation and the lowest epsilon with the best F1."""
    centre = mean(normal)
    std = math.sqrt(mean([(score - centre) ** 2 for score in normal]))

    def density(score):
        return math.exp(-(((score - centre) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))

    def f1_of(epsilon):
        flagged = [[s > centre and density(s) < epsilon for s in scores] for scores in (normal, labelled)]
        return 2 * sum(flagged[1]) / (sum(map(sum, flagged)) + len(labelled))

    densities = sorted({density(s) for s in [*normal, *labelled] if s > centre})
    edges = [*densities[1:], density(centre)]
    candidates = [math.sqrt(low * high) for low, high in zip(densities, edges, strict=True)]
    return centre, std, max(candidates, key=lambda epsilon: (f1_of(epsilon), -epsilon))


def dynamic_threshold(scores, normal, segment_starts, max_gap):
    known = [s for s, counts in zip(scores, normal, strict=True) if counts and s == s]
    centre, spread = mean(known), math.sqrt(mean([(s - mean(known)) ** 2 for s in known]))
    best, best_gain, best_runs = math.inf, 0.0, []
    for half_steps in range(4, 21):
        threshold = centre + half_steps / 2 * spread
        over = [bool(counts and s > threshold) for s, counts in zip(scores, normal, strict=True)]
        runs = merge_events(events_of(over, segment_starts), max_gap, segment_starts)
        rest = [s for s in known if s <= threshold]
        if not runs or not rest:
            continue
        drop = (centre - mean(rest)) / centre
        drop += (spread - math.sqrt(mean([(s - mean(rest)) ** 2 for s in rest]))) / spread
        gain = drop / (sum(over) + len(runs) ** 2)
        if gain > best_gain:
            best, best_gain, best_runs = threshold, gain, runs
    peaks = sorted((max(s for s in scores[a:b] if s == s and s > best) for a, b in best_runs), reverse=True)
    ladder = [*peaks, max(s for s in known if s <= best)]
    kept = max((k + 1 for k in range(len(peaks)) if (ladder[k] - ladder[k + 1]) / ladder[k] > 0.13), default=0)
    pruned = peaks[kept:] if peaks else ladder
    return max([*pruned, *([best] if kept else [])])


# --- models -----------------------------------------------------------------------------------------------------------


def position_code(window_size, size):
    n = size // 2
    ratio = (4 / (2 * window_size)) ** (1 / (n - 1)) if n > 1 else 1.0
    wavelengths = [2 * window_size * ratio**k for k in range(n)]
    return [
        [wave(2 * math.pi * t / length) for wave in (math.sin, math.cos) for length in wavelengths]
        for t in range(window_size)
    ]


def masked_loss(windows, reconstruction):
    errors = [
        (value - guess) ** 2
        for rows, guesses in zip(windows, reconstruction, strict=True)
        for row, guess_row in zip(rows, guesses, strict=True)
        for value, guess in zip(row, guess_row, strict=True)
        if value == value
    ]
    return sum(errors) / len(errors) if errors else 0.0


def quantile_loss(readings, quantiles):
    losses = []
    for place in np.ndindex(*np.shape(readings)):
        value = float(readings[place])
        if value == value:
            errors = [value - float(guess) for guess in quantiles[place]]
            pairs = zip((0.1, 0.5, 0.9), errors, strict=True)
            losses.append(sum(q * e if e >= 0 else (q - 1) * e for q, e in pairs))
    return sum(losses) / len(losses) if losses else 0.0


def monte_carlo_dense(row, kernel, bias, masks):
    """Deciles and mean (U, 3) of what each mask gives, those of a normal distribution."""
    estimates = []
    for unit in range(len(bias)):
        passes = [
            sum(float(x) * float(keep) * float(w) for x, keep, w in zip(row, mask, kernel[:, unit], strict=True))
            + float(bias[unit])
            for mask in masks
        ]
        spread = math.sqrt(mean([(value - mean(passes)) ** 2 for value in passes])) * NormalDist().inv_cdf(0.9)
        estimates.append([mean(passes) - spread, mean(passes), mean(passes) + spread])
    return estimates


def projected(rows, known, n_components, centre):
    """Rows on the principal components of known ones around a centre, and back."""
    variances, vectors = np.linalg.eigh(sum(np.outer(row - centre, row - centre) for row in known))
    kept = [vectors[:, k] for k in np.argsort(variances)[::-1][:n_components]]
    return [centre + sum(float(axis @ (row - centre)) * axis for axis in kept) for row in rows]


def windows_at(values, starts, window_size):
    """Windows without gaps, as nested lists."""
    return [hold_missing([[float(value) for value in row] for row in values[s : s + window_size]]) for s in starts]


def sub_pca(windows, known, n_components):
    flat = [np.array(window, dtype=float).ravel() for window in known]
    rows = [np.array(window, dtype=float).ravel() for window in windows]
    return [row.reshape(np.shape(windows[0])) for row in projected(rows, flat, n_components, sum(flat) / len(flat))]


def distance(one, other):
    return sum((a - b) ** 2 for row, rest in zip(one, other, strict=True) for a, b in zip(row, rest, strict=True))


def nearest_windows(windows, known, n_neighbours):
    estimates = []
    for window in windows:
        nearest = sorted(known, key=lambda other: distance(window, other))[:n_neighbours]
        estimates.append(sum(np.array(other) for other in nearest) / len(nearest))
    return estimates


def shape_of(window, least):
    """A window at level 0 and spread 1 in each channel, its levels and its spreads."""
    columns = [list(column) for column in zip(*window, strict=True)]
    levels = [mean(column) for column in columns]
    spreads = [
        max(math.sqrt(mean([(value - level) ** 2 for value in column])), least)
        for column, level in zip(columns, levels, strict=True)
    ]
    return [
        [(value - level) / spread for value, level, spread in zip(row, levels, spreads, strict=True)] for row in window
    ], (levels, spreads)


def matrix_profile(windows, known, n_neighbours, least):
    shapes, estimates = [shape_of(other, least)[0] for other in known], []
    for window in windows:
        own, (levels, spreads) = shape_of(window, least)
        [nearest] = nearest_windows([own], shapes, n_neighbours)
        estimates.append(nearest * np.array(spreads) + np.array(levels))
    return estimates


def moving_average_scores(scaled, segments, width):
    scores = []
    for start, stop in segments:
        for t in range(start, stop):
            before = [mean(column[max(start, t - width) : t]) for column in zip(*scaled, strict=True)]
            scores.append(mean([abs(value - usual) for value, usual in zip(scaled[t], before, strict=True)]))
    return scores


def pca_scores(scaled, training, n_components):
    """T² + Q from the eigenvectors of the covariance; rows without missing readings."""
    centre = np.mean(training, axis=0)
    variances, vectors = np.linalg.eigh(np.cov(training, rowvar=False))
    kept = np.argsort(variances)[::-1][:n_components]

    def statistics(row):
        parts = [float(vectors[:, k] @ (row - centre)) for k in kept]
        rebuilt = centre + sum(part * vectors[:, k] for part, k in zip(parts, kept, strict=True))
        t2 = sum(part**2 / variances[k] for part, k in zip(parts, kept, strict=True))
        return t2, sum((value - guess) ** 2 for value, guess in zip(row, rebuilt, strict=True))

    usual_t2, usual_q = (mean([statistics(row)[which] for row in training]) for which in (0, 1))
    return [t2 / usual_t2 + q / usual_q for t2, q in (statistics(row) for row in scaled)]


def difference_scores(scaled, segments):
    scores = []
    for start, stop in segments:
        for t in range(start, stop):
            steps = [abs(a - b) for a, b in zip(scaled[t], scaled[t - 1], strict=True)] if t > start else []
            scores.append(mean(steps))
    return scores


def norm_scores(scaled, training):
    columns = [[value for value in column if value == value] for column in zip(*training, strict=True)]
    scores = []
    for row in scaled:
        total = 0.0
        for value, column in zip(row, columns, strict=True):
            span = max(column) - min(column)
            total += ((value - min(column)) / (span or 1.0)) ** 2 if value == value else 0.0
        scores.append(math.sqrt(total))
    return scores


def mahalanobis_scores(scaled, training, ridge):
    """Rows without missing readings."""
    n, size = len(training), len(training[0])
    centre = [mean(column) for column in zip(*training, strict=True)]
    covariance = [
        [sum((row[i] - centre[i]) * (row[j] - centre[j]) for row in training) / n for j in range(size)]
        for i in range(size)
    ]
    for i in range(size):
        covariance[i][i] += ridge
    inverse = np.linalg.inv(covariance)
    scores = []
    for row in scaled:
        apart = [value - usual for value, usual in zip(row, centre, strict=True)]
        scores.append(sum(apart[i] * inverse[i, j] * apart[j] for i in range(size) for j in range(size)) / size)
    return scores


def nearest_window_error(scaled, start, known_starts, window_size, n_neighbours):
    """Mean squared difference of the window at `start` to the nearest of those at `known_starts` apart from it."""
    window = [hold for row in hold_missing(scaled[start : start + window_size]) for hold in row]
    distances = []
    for other in known_starts:
        if abs(other - start) >= window_size:
            values = [hold for row in hold_missing(scaled[other : other + window_size]) for hold in row]
            distances.append(mean([(a - b) ** 2 for a, b in zip(window, values, strict=True)]))
    return mean(sorted(distances)[:n_neighbours])


def window_pca_errors(scaled, start, known_starts, window_size, share):
    """Squared residual (W, F) of the window at `start`, from the singular vectors of the windows at `known_starts`."""
    windows = np.array([np.ravel(hold_missing(scaled[s : s + window_size])) for s in known_starts])
    centre = windows.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(windows - centre, full_matrices=True)
    parts, n_kept = np.square(sizes), 0
    while sum(parts[:n_kept]) < share * sum(parts):
        n_kept += 1
    residual = np.ravel(hold_missing(scaled[start : start + window_size])) - centre
    for vector in vectors[: min(n_kept, windows.shape[1] - 1)]:
        residual = residual - (residual @ vector) * vector
    errors = np.square(residual).reshape(window_size, -1)
    errors[np.isnan(scaled[start : start + window_size])] = math.nan
    return errors


# --- features of a snapshot -------------------------------------------------------------------------------------------


def sensor_features(samples):
    """mean |x|, rms, peak, crest factor, kurtosis of one sensor; NaN where a ratio has no meaning."""
    n, centre = len(samples), sum(samples) / len(samples)
    rms = math.sqrt(sum(x**2 for x in samples) / n)
    peak = max(abs(x) for x in samples)
    second = sum((x - centre) ** 2 for x in samples) / n
    fourth = sum((x - centre) ** 4 for x in samples) / n
    constant = min(samples) == max(samples)
    return [
        sum(abs(x) for x in samples) / n,
        rms,
        peak,
        peak / rms if rms else math.nan,
        math.nan if constant else fourth / second**2,
    ]


def band_energy(samples, sampling_hz, low, high):
    """Sum |X_k|² / n² over all lines of the plain transform whose frequency, folded at half the rate, is in it."""
    n, total = len(samples), 0.0
    for k in range(n):
        frequency = min(k, n - k) * sampling_hz / n
        if low <= frequency < high or (frequency >= low and high == sampling_hz / 2):
            line = sum(x * np.exp(-2j * math.pi * k * t / n) for t, x in enumerate(samples))
            total += abs(line) ** 2 / n**2
    return total


# --- merging of readings ----------------------------------------------------------------------------------------------


def merge_readings(known, pieces):
    """Rows by stamp, and counts: `known` maps stamps to values, a piece is a list of them; None is missing."""
    rows = {stamp: list(values) for stamp, values in known.items()}
    for piece in pieces:
        for stamp, values in piece:
            row = rows.setdefault(stamp, [None] * len(values))
            for k, value in enumerate(values):
                row[k] = row[k] if value is None else value
    new = [stamp for stamp in rows if stamp not in known]
    filled = corrected = unchanged = 0
    for stamp in {stamp for piece in pieces for stamp, _ in piece} & known.keys():
        before, after = known[stamp], rows[stamp]
        filled += sum(one is None and other is not None for one, other in zip(before, after, strict=True))
        corrected += sum(one is not None and one != other for one, other in zip(before, after, strict=True))
        unchanged += before == after
    return dict(sorted(rows.items())), (len(new), filled, corrected, unchanged)


# --- injected events --------------------------------------------------------------------------------------------------


def found_trial(scores, threshold, max_gap, start, stop, alarms_before):
    """Whether an alarm meets [start, stop) of a piece's scores, where none of `alarms_before` (stop - start,) was."""
    alarms = merge_events(events_of([score > threshold for score in scores]), max_gap)
    return any(left < stop and start < right for left, right in alarms) and not any(alarms_before)


# --- operation --------------------------------------------------------------------------------------------------------


class ScoredOnce:
    """What a store holds if each call scores the whole history and keeps the final scores that it has not got yet."""

    def __init__(self, since):
        self.since, self.rows, self.weights = since, {}, {}

    def take(self, series, result, final, merge_gap, model):
        self.series, self.merge_gap = series, merge_gap
        for t, stamp in enumerate(series.stamps.tolist()):
            if final[t] and stamp >= self.since and stamp not in self.rows:
                self.rows[stamp] = (result.scores[t], result.threshold, model)
                self.weights[stamp] = result.scores[t] * result.channel_shares[t]

    def alarms(self):
        """First and last stamp, timesteps, peak, peak over threshold, channel weights; all rows seen at once."""
        stamps, segment_starts = self.series.stamps.tolist(), self.series.segment_starts.tolist()
        over = [stamp in self.rows and self.rows[stamp][0] > self.rows[stamp][1] for stamp in stamps]
        alarms = []
        for start, stop in merge_events(events_of(over, segment_starts), self.merge_gap, segment_starts):
            inside = [stamps[t] for t in range(start, stop) if over[t]]
            peak = max(self.rows[stamp][0] for stamp in inside)
            ratio = max(self.rows[stamp][0] / self.rows[stamp][1] for stamp in inside)
            weights = sum(self.weights[stamp] for stamp in inside)
            alarms.append((stamps[start], stamps[stop - 1], stop - start, peak, ratio, weights))
        return alarms


def seasonal_means(values, stamps, season):
    """Mean of each channel at each hour; from the nearest kind of hour that was seen."""
    hour = 3_600_000_000_000
    n_hours = {"none": 1, "day": 24, "week": 168}[season]
    means = []
    for k in range(n_hours):
        row = []
        for channel in range(len(values[0])):
            found = []
            for size in [size for size in (168, 24) if size <= n_hours]:
                if not found:
                    found = [
                        row[channel]
                        for row, stamp in zip(values, stamps, strict=True)
                        if (stamp // hour + 72) % size == k % size and row[channel] == row[channel]
                    ]
            found = found or [row[channel] for row in values if row[channel] == row[channel]]
            row.append(mean(found))
        means.append(row)
    return means


# --- drift ------------------------------------------------------------------------------------------------------------


def chunks(values, stamps, usable, step, measure, scores):
    """Chunk statistics by loops; see `offbeat.detection.chunks`."""
    out = {"numbers": [], "statistics": [], "faults": [], "coverage": [], "scores": []}
    first, last = stamps[0] // measure.length, stamps[-1] // measure.length
    for number in range(int(first), int(last) + 1):
        begin = max(number * measure.length, stamps[0])
        end = min((number + 1) * measure.length - 1, stamps[-1])
        expected = max((end - begin) // step + 1, 1)
        rows = [i for i in range(len(stamps)) if stamps[i] // measure.length == number]
        anything = [i for i in rows if not np.isnan(values[i]).all()]
        statistics, faults = [], []
        for c in range(values.shape[1]):
            kept = [i for i in rows if usable[i] and not np.isnan(values[i, c])]
            scaled = [(values[i, c] - measure.centre[c]) / measure.unit[c] for i in kept]
            apart = []
            p = measure.partner[c]
            for i in kept:
                if p >= 0 and not np.isnan(values[i, p]):
                    where = measure.slope[c] * (values[i, p] - measure.centre[p]) / measure.unit[p]
                    apart.append((values[i, c] - measure.centre[c]) / measure.unit[c] - where)
            four = []
            for numbers in (scaled, apart):
                four += [np.mean(numbers), np.log(max(np.std(numbers), 1e-3))] if numbers else [np.nan, np.nan]
            enough = 2 * len(kept) >= min(expected, measure.length // step) and len(kept) >= 4
            statistics.append(four if enough else [np.nan] * 4)
            counted = [i for i in anything if usable[i]]
            missing = sum(np.isnan(values[i, c]) for i in counted)
            stuck = sum(_run_around(values[:, c], i) > measure.longest_run[c] > 0 for i in kept)
            outside = sum(not measure.low[c] <= values[i, c] <= measure.high[c] for i in kept)
            faults.append([n / len(counted) if counted else np.nan for n in (missing, stuck, outside)])
        scored = [scores[i] for i in rows if usable[i]]
        due = expected - sum(not usable[i] for i in rows)
        out["numbers"].append(number)
        out["statistics"].append(statistics)
        out["faults"].append(faults)
        out["coverage"].append(min(len(counted) / due, 1.0) if due > 0 else np.nan)
        out["scores"].append(np.log(np.mean(scored)) if scored and 2 * len(scored) >= expected else np.nan)
    return out


def _run_around(column, i):
    """Length of the run of equal readings around row i."""
    start = stop = i
    while start > 0 and column[start - 1] == column[i]:
        start -= 1
    while stop + 1 < len(column) and column[stop + 1] == column[i]:
        stop += 1
    return stop - start + 1


def stretch_moves(columns, size):
    """Moves of each stretch of chunks against the centres of all other chunks, by loops."""
    n, m = columns.values.shape
    moves = []
    for start in range(n - size + 1):
        row = []
        for c in range(m):
            away = []
            for i in range(start, start + size):
                others = [
                    columns.values[j, c]
                    for j in range(n)
                    if not start <= j < start + size and columns.base[j, c] and columns.phase[j] == columns.phase[i]
                ]
                others = [value for value in others if not np.isnan(value)]
                if others and not np.isnan(columns.values[i, c]):
                    away.append(columns.values[i, c] - np.mean(others))
            row.append(np.mean(away) if away and 2 * len(away) >= size else np.nan)
        moves.append(row)
    return np.array(moves)


# --- pages ------------------------------------------------------------------------------------------------------------


def bucket_extremes(values, starts, stops):
    """Lowest and highest value of each bucket in the order in which they came, of one column; None where none is."""
    points = []
    for start, stop in zip(starts, stops, strict=True):
        known = [(i, values[i]) for i in range(start, stop) if values[i] == values[i]]
        if not known:
            points += [None, None]
            continue
        low = min(known, key=lambda pair: (pair[1], pair[0]))
        high = max(known, key=lambda pair: (pair[1], -pair[0]))
        points += [value for _, value in sorted([low, high])]
    return points
