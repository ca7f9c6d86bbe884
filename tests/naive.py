"""Brute-force twins of the numeric core: plain loops, obviously right, slow."""


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
