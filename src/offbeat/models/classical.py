"""Models that are fitted at once: simple methods in the same form as a network, to deploy or to stand beside it.

Each is an ONNX graph that maps `windows` (N, W, F) to `estimates` (N, H, F), so that what reconstructs by principal
components, by the nearest known window or by the last value is scored, calibrated and served as a network is.
"""

from __future__ import annotations

import numpy as np

from offbeat.detection.windows import gather_windows, hold_missing
from offbeat.models.graph import Graph
from offbeat.models.linear import components
from offbeat.typing import FloatArray, IntArray

BANK_SIZE = 2000  # windows at most that the nearest is sought among, thinned evenly from those to learn from
LEAST_SPREAD = 1e-3  # standard deviations of the training span, below which a window has no shape of its own


def mean_graph(n_channels: int) -> bytes:
    """Return the graph that estimates 0, the mean of the training span, from a single row.

    Its squared error is the squared norm of the scaled row, or a Gaussian for each channel; `combine: whitened` makes
    it one multivariate Gaussian.
    """
    graph = Graph()
    zero = graph.constant("zero", np.float32(0))
    graph.add("Mul", ["windows", zero], "estimates")
    return graph.file("mean", (1, n_channels), (1, n_channels))


def last_value_graph(n_channels: int) -> bytes:
    """Return the graph that estimates a reading by the one before it."""
    graph = Graph()
    _rows(graph, 0, 1, "estimates")
    return graph.file("last_value", (2, n_channels), (1, n_channels))


def moving_average_graph(window_size: int, n_channels: int) -> bytes:
    """Return the graph that estimates a reading by the mean of the `window_size` - 1 before it."""
    graph = Graph()
    before = _rows(graph, 0, window_size - 1, "before")
    graph.add("ReduceMean", [before], "estimates", axes=[1], keepdims=1)
    return graph.file("moving_average", (window_size, n_channels), (1, n_channels))


def row_pca_graph(rows: FloatArray, n_components: int) -> bytes:
    """Return the graph that projects a single row on the principal components of rows (n, F) and back."""
    n_channels = rows.shape[1]
    axes = components(rows, min(n_components, n_channels - 1))
    graph = Graph()
    graph.add("MatMul", ["windows", graph.constant("projection", (axes @ axes.T).astype(np.float32))], "estimates")
    return graph.file("row_pca", (1, n_channels), (1, n_channels))


def sub_pca_graph(values: FloatArray, starts: IntArray, window_size: int, n_components: int) -> bytes:
    """Return the graph that projects a window, all at once, on the principal components of those to learn from."""
    n_channels = values.shape[1]
    flat = window_bank(values, starts, window_size).reshape(-1, window_size * n_channels).astype(np.float64)
    centre = flat.mean(axis=0)
    axes = components(flat - centre, min(n_components, flat.shape[1] - 1))
    graph = Graph()
    row = graph.reshaped("windows", [0, -1], "row")
    centred = graph.add("Sub", [row, graph.constant("centre", centre.astype(np.float32))], "centred")
    code = graph.add("MatMul", [centred, graph.constant("axes", axes.astype(np.float32))], "code")
    back = graph.add("MatMul", [code, graph.constant("back", np.ascontiguousarray(axes.T).astype(np.float32))], "rows")
    total = graph.add("Add", [back, "centre"], "total")
    graph.reshaped(total, [0, window_size, n_channels], "estimates")
    return graph.file("sub_pca", (window_size, n_channels), (window_size, n_channels))


def nearest_windows_graph(values: FloatArray, starts: IntArray, window_size: int, n_neighbours: int) -> bytes:
    """Return the graph that estimates a window by the mean of those to learn from that are nearest to it.

    Of at most `BANK_SIZE` windows, by Euclidean distance over all channels.
    """
    n_channels = values.shape[1]
    graph = Graph()
    row = graph.reshaped("windows", [0, -1], "row")
    bank = window_bank(values, starts, window_size).reshape(-1, window_size * n_channels)
    nearest = _nearest(graph, row, bank, n_neighbours)
    graph.reshaped(nearest, [0, window_size, n_channels], "estimates")
    return graph.file("nearest_windows", (window_size, n_channels), (window_size, n_channels))


def matrix_profile_graph(values: FloatArray, starts: IntArray, window_size: int, n_neighbours: int) -> bytes:
    """Return the graph that estimates a window by the known shapes nearest to its own, at its own level and spread.

    Notes
    -----
    Yeh et al. 2016, "Matrix Profile I", the join of new windows with those to learn from. Differs: the windows to learn
    from are thinned to `BANK_SIZE`, all channels choose their neighbour together, and the distance is kept reading by
    reading.
    """
    n_channels = values.shape[1]
    bank = window_bank(values, starts, window_size).astype(np.float64)
    level, spread = bank.mean(axis=1, keepdims=True), np.maximum(bank.std(axis=1, keepdims=True), LEAST_SPREAD)
    shapes = ((bank - level) / spread).reshape(len(bank), -1).astype(np.float32)
    graph = Graph()
    mean = graph.add("ReduceMean", ["windows"], "level", axes=[1], keepdims=1)  # (N, 1, F)
    off = graph.add("Sub", ["windows", mean], "off")
    variance = graph.add("ReduceMean", [graph.add("Mul", [off, off], "square")], "variance", axes=[1], keepdims=1)
    deviation = graph.add("Sqrt", [variance], "deviation")
    own_spread = graph.add("Max", [deviation, graph.constant("least", np.float32(LEAST_SPREAD))], "spread")
    row = graph.reshaped(graph.add("Div", [off, own_spread], "shape"), [0, -1], "row")
    nearest = graph.reshaped(_nearest(graph, row, shapes, n_neighbours), [0, window_size, n_channels], "nearest")
    graph.add("Add", [graph.add("Mul", [nearest, own_spread], "scaled"), mean], "estimates")
    return graph.file("matrix_profile", (window_size, n_channels), (window_size, n_channels))


def _rows(graph: Graph, start: int, stop: int, output: str) -> str:
    names = [
        graph.constant(f"{output}.{part}", np.array([value]))
        for part, value in (("begin", start), ("end", stop), ("axis", 1))
    ]
    return graph.add("Slice", ["windows", *names], output)


def window_bank(values: FloatArray, starts: IntArray, window_size: int) -> FloatArray:
    """Return windows (n, W, F) to learn from, missing readings held, evenly thinned to `BANK_SIZE`."""
    kept = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), BANK_SIZE)).astype(np.int64))
    return hold_missing(gather_windows(values, starts[kept], window_size))


def _nearest(graph: Graph, row: str, bank: FloatArray, n_neighbours: int) -> str:
    """Return the mean (N, D) of the rows of the bank (n, D) nearest to rows (N, D)."""
    known = graph.constant("bank", bank.astype(np.float32))
    half_norms = np.square(bank.astype(np.float64)).sum(axis=1).astype(np.float32) / 2
    # |x - b|² / 2 without |x|², which is the same for all b
    product = graph.add("Gemm", [row, known], "product", transB=1)
    closeness = graph.add("Sub", [product, graph.constant("half_norms", half_norms)], "closeness")  # (N, n)
    k = graph.constant("n_neighbours", np.array([min(n_neighbours, len(bank))]))
    graph.add_many("TopK", [closeness, k], ["how_close", "which"], axis=1)
    neighbours = graph.add("Gather", [known, "which"], "neighbours", axis=0)  # (N, k, D)
    return graph.add("ReduceMean", [neighbours], "nearest_row", axes=[1], keepdims=0)
