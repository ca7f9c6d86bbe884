"""Trained weights to an ONNX graph around the standard LSTM and GRU operators.

Written by hand because exporters unroll or loop: the operators run several times faster on ONNX Runtime.

The graph is built layer by layer in the order of the Keras model; `FORMS` holds what each kind of layer becomes. What
Keras has as sequences (N, W, ...) stands by timestep, (W, N, ...), as the operators want it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from offbeat.models import layers as own
from offbeat.models.graph import Graph
from offbeat.models.layers import DECILE_DISTANCE, position_code


def export_network(model: keras.Model) -> bytes:
    """Return the ONNX file of a network from `recurrent` or `dense`.

    The graph maps `windows` (N, W, F + C) to `estimates` (N, H, F) or (N, H, F, 3), all float32, for N of at least 1.
    """
    graph = Graph()
    names = {}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            names[layer.output.name] = graph.by_timestep("windows", 3)
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        form = FORMS[type(layer)]
        names[layer.output.name] = form(graph, layer, *(names[tensor.name] for tensor in inputs))
    output = model.output
    graph.add("Transpose", [names[output.name]], "estimates", perm=[1, 0, 2, 3][: len(output.shape)])
    return graph.file(model.name, model.input_shape[1:], output.shape[1:])


def _dense(graph: Graph, layer: Any, inputs: str) -> str:
    name = layer.name
    kernel, *bias = layer.get_weights()
    result = graph.add("MatMul", [inputs, graph.constant(f"{name}.kernel", kernel)], f"{name}.product")
    if bias:
        result = graph.add("Add", [result, graph.constant(f"{name}.bias", bias[0])], f"{name}.sum")
    if layer.activation is keras.activations.linear:
        return result
    assert layer.activation is keras.activations.tanh, "no other activation is built"
    return graph.add("Tanh", [result], f"{name}.tanh")


def _monte_carlo_dense(graph: Graph, layer: Any, inputs: str) -> str:
    """Return (..., F, 3): each of the fixed masks is one row of a batch in front."""
    name = layer.name
    kernel, bias = layer.get_weights()
    kernels = layer.masks(len(kernel))[:, :, None] * kernel  # (passes, U, F)
    rank = len(layer.input.shape)
    if rank == 3:
        kernels = kernels[:, None]  # (passes, 1, U, F) against (1, W, N, U)
    row = graph.add("Unsqueeze", [inputs, graph.constant(f"{name}.front", np.array([0]))], f"{name}.row")
    product = graph.add("MatMul", [row, graph.constant(f"{name}.kernels", kernels)], f"{name}.product")
    mean = graph.add("ReduceMean", [product], f"{name}.mean", axes=[0], keepdims=0)
    off = graph.add("Sub", [product, mean], f"{name}.off")
    square = graph.add("Mul", [off, off], f"{name}.square")
    variance = graph.add("ReduceMean", [square], f"{name}.variance", axes=[0], keepdims=0)
    spread = graph.add("Sqrt", [variance], f"{name}.spread")
    distance = graph.add(
        "Mul", [spread, graph.constant(f"{name}.distance", np.float32(DECILE_DISTANCE))], f"{name}.band"
    )
    middle = graph.add("Add", [mean, graph.constant(f"{name}.bias", bias)], f"{name}.middle")
    return _bounds(graph, name, middle, distance, distance)


def _bounds(graph: Graph, name: str, middle: str, below: str, above: str) -> str:
    """Return (..., F, 3) of a middle and its distances to the bounds, (..., F) each."""
    last = graph.constant(f"{name}.last_axis", np.array([-1]))
    parts = [
        graph.add("Sub", [middle, below], f"{name}.low"),
        middle,
        graph.add("Add", [middle, above], f"{name}.high"),
    ]
    columns = [graph.add("Unsqueeze", [part, last], f"{part}.column") for part in parts]
    return graph.add("Concat", columns, f"{name}.bounds", axis=-1)


def _ordered_quantiles(graph: Graph, layer: Any, inputs: str) -> str:
    name = layer.name
    parts = [f"{name}.{part}" for part in ("median", "raw_below", "raw_above")]
    graph.add_many("Split", [inputs], parts, axis=-1)
    below, above = (graph.add("Softplus", [part], f"{part}.positive") for part in parts[1:])
    return _bounds(graph, name, parts[0], below, above)


# gates of Keras in the order of ONNX: LSTM has i, f, c, o and wants i, o, f, c; GRU has z, r, h as ONNX does
GATES = {own.FusedLSTM: (0, 3, 1, 2), layers.GRU: (0, 1, 2)}
_OPERATORS = {own.FusedLSTM: "LSTM", layers.GRU: "GRU"}


def recurrent_weights(graph: Graph, layer: Any, name: str) -> list[str]:
    """Add kernel, recurrent kernel and bias in ONNX's form and return their names."""
    order = GATES[type(layer)]

    def gates(weight: Any) -> Any:
        parts = np.split(weight, len(order), axis=-1)
        return np.concatenate([parts[k] for k in order], axis=-1)

    kernel, recurrent, bias = (gates(weight) for weight in layer.get_weights())
    both = bias.ravel() if bias.ndim == 2 else np.concatenate([bias, np.zeros_like(bias)])  # a GRU has two biases
    return [
        graph.constant(f"{name}.W", kernel.T[None]),  # (1, gates x units, inputs)
        graph.constant(f"{name}.R", recurrent.T[None]),
        graph.constant(f"{name}.B", both[None]),
    ]


def _recurrent(graph: Graph, layer: Any, inputs: str) -> str:
    name, units = layer.name, layer.units
    attributes: dict[str, Any] = {"linear_before_reset": 1} if isinstance(layer, layers.GRU) else {}
    if layer.go_backwards:
        attributes["direction"] = "reverse"
    outputs = [f"{name}.hidden", ""] if layer.return_sequences else ["", f"{name}.state"]
    weights = recurrent_weights(graph, layer, name)
    graph.add_many(_OPERATORS[type(layer)], [inputs, *weights], outputs, name=name, hidden_size=units, **attributes)
    if not layer.return_sequences:
        return graph.add("Squeeze", [outputs[1], graph.constant(f"{name}.axis", np.array([0]))], f"{name}.last")
    axis = graph.constant(f"{name}.axis", np.array([1]))
    return graph.add("Squeeze", [outputs[0], axis], f"{name}.rows")  # (W, N, U)


def _in_order_of_time(_graph: Graph, _layer: Any, inputs: str) -> str:
    return inputs  # in which ONNX gives the outputs of a backward layer, other than Keras


def _rollout(graph: Graph, layer: Any, inputs: str) -> str:
    name, units = layer.name, layer.units
    weights = recurrent_weights(graph, layer.recurrent, name)
    kernel, bias = layer.forecast.get_weights()
    kernel, bias = graph.constant(f"{name}.kernel", kernel), graph.constant(f"{name}.bias", bias)
    state: list[str] = []
    steps = []
    for k in range(layer.horizon):
        outputs = [f"{name}.h{k}", f"{name}.c{k}"]
        graph.add_many("LSTM", [inputs, *weights, "", *state], ["", *outputs], name=f"{name}.{k}", hidden_size=units)
        state = outputs
        product = graph.add("MatMul", [outputs[0], kernel], f"{name}.product{k}")  # (1, N, F)
        inputs = graph.add("Add", [product, bias], f"{name}.step{k}")
        steps.append(inputs)
    return graph.add("Concat", steps, f"{name}.steps", axis=0)  # (H, N, F)


def _repeat_with_position(graph: Graph, layer: Any, code: str) -> str:
    name, window_size = layer.name, layer.window_size
    position = position_code(window_size, layer.position_size).astype(np.float32)[:, None, :]
    row = graph.add("Unsqueeze", [code, graph.constant(f"{name}.first_axis", np.array([0]))], f"{name}.row")
    shape = graph.constant(f"{name}.n_timesteps", np.array([window_size, 1, 1]))
    repeated = graph.add("Expand", [row, shape], f"{name}.repeated")  # (W, N, L)
    graph.add("Shape", [code], f"{name}.n_windows", start=0, end=1)
    one = graph.constant(f"{name}.one", np.array([1]))
    many = graph.add("Concat", [one, f"{name}.n_windows", one], f"{name}.many", axis=0)
    positions = graph.add("Expand", [graph.constant(f"{name}.position", position), many], f"{name}.positions")
    return graph.add("Concat", [repeated, positions], f"{name}.both", axis=2)  # (W, N, L + P)


def _part(graph: Graph, layer: Any, inputs: str) -> str:
    (first, last), (left, right) = layer.rows, layer.columns
    names = [
        graph.constant(f"{layer.name}.{part}", np.array(value))
        for part, value in (("begin", [first, left]), ("end", [last, right]), ("axes", [0, 2]))
    ]
    return graph.add("Slice", [inputs, *names], f"{layer.name}.part")


def _flatten(graph: Graph, layer: Any, inputs: str) -> str:
    windows = graph.add("Transpose", [inputs], f"{layer.name}.windows", perm=[1, 0, 2])
    return graph.reshaped(windows, [0, -1], f"{layer.name}.flat")


def _reshape(graph: Graph, layer: Any, inputs: str) -> str:
    shape = list(layer.target_shape)
    return graph.by_timestep(graph.reshaped(inputs, [0, *shape], f"{layer.name}.shaped"), len(shape) + 1)


def _column(graph: Graph, layer: Any, inputs: str) -> str:
    last = graph.constant(f"{layer.name}.last_axis", np.array([-1]))
    return graph.add("Unsqueeze", [inputs, last], f"{layer.name}.column")


def _concatenate(graph: Graph, layer: Any, *inputs: str) -> str:
    return graph.add("Concat", list(inputs), f"{layer.name}.joined", axis=-1)


def _add(graph: Graph, layer: Any, *inputs: str) -> str:
    return graph.add("Add", list(inputs), f"{layer.name}.total")


FORMS: dict[type, Callable[..., str]] = {
    layers.Dense: _dense,
    layers.GRU: _recurrent,
    layers.Flatten: _flatten,
    layers.Reshape: _reshape,
    layers.Concatenate: _concatenate,
    layers.Add: _add,
    own.FusedLSTM: _recurrent,
    own.RepeatWithPosition: _repeat_with_position,
    own.Part: _part,
    own.InOrderOfTime: _in_order_of_time,
    own.Column: _column,
    own.OrderedQuantiles: _ordered_quantiles,
    own.MonteCarloDense: _monte_carlo_dense,
    own.Rollout: _rollout,
}
