"""Weights of an ONNX file back into a network: the way of `export` in reverse.

A detector keeps its network as an ONNX file alone, so this is how a training starts from a detector. It is exact: an
exported weight is the network's own, only laid out otherwise.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import numpy_helper

from offbeat.errors import StartError
from offbeat.models import layers as own
from offbeat.models.export import GATES, export_network
from offbeat.typing import FloatArray

Weights = dict[str, FloatArray]


def take_weights(model: keras.Model, graph: bytes) -> None:
    """Give a network, in place, the weights of one that `export_network` has written.

    Raises
    ------
    StartError
        If the file is that of another network: another window, other channels, layers or widths.
    """
    found, wanted = onnx.load_from_string(graph), onnx.load_from_string(export_network(model))
    weights = {one.name: numpy_helper.to_array(one) for one in found.graph.initializer}
    if difference := _difference(found, wanted):
        raise StartError(f"the start has another network: {difference}; train from new weights, or with its settings")
    for layer in model.layers:
        if isinstance(layer, own.Rollout):
            layer.recurrent.set_weights(_recurrent(layer.recurrent, layer.name, weights))
            layer.forecast.set_weights([weights[f"{layer.name}.kernel"], weights[f"{layer.name}.bias"]])
        elif layer.weights:
            layer.set_weights(_of_layer(layer, weights))


def _difference(found: onnx.ModelProto, wanted: onnx.ModelProto) -> str:
    """Return in words what tells two networks apart but the values of their weights; empty if nothing does."""
    for what, there, here in (
        ("windows", found.graph.input, wanted.graph.input),
        ("estimates", found.graph.output, wanted.graph.output),
    ):
        if (a := _shape(there[0])) != (b := _shape(here[0])):
            return f"{what} of {_times(a)} there, of {_times(b)} here"
    if found.graph.name != wanted.graph.name:
        return f"{found.graph.name} there, {wanted.graph.name} here"
    shapes, others = ({one.name: tuple(one.dims) for one in proto.graph.initializer} for proto in (found, wanted))
    for name in sorted(shapes.keys() | others.keys()):
        if shapes.get(name) != others.get(name):
            return f"{name} is {_times(shapes.get(name))} there, {_times(others.get(name))} here"
    # names and shapes alike, only how they are used may differ still, such as the direction of a layer
    same = list(found.graph.node) == list(wanted.graph.node)
    return "" if same else "layers of the same shapes, used otherwise"


def _shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim)[1:]  # the first one is any number


def _times(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(str(size) for size in shape)


def _of_layer(layer: Any, weights: Weights) -> list[FloatArray]:
    if isinstance(layer, (own.FusedLSTM, layers.GRU)):
        return _recurrent(layer, layer.name, weights)
    bias = [weights[f"{layer.name}.bias"]] if layer.use_bias else []
    if isinstance(layer, own.MonteCarloDense):
        kernels = weights[f"{layer.name}.kernels"]  # (passes, U, F) or (passes, 1, U, F); 0, or the kernel / (1 - rate)
        kernels = kernels.reshape(len(kernels), *layer.kernel.shape)
        largest = np.abs(kernels).argmax(axis=0)[None]
        return [np.take_along_axis(kernels, largest, axis=0)[0] * np.float32(1 - layer.rate), *bias]
    return [weights[f"{layer.name}.kernel"], *bias]


def _recurrent(layer: Any, name: str, weights: Weights) -> list[FloatArray]:
    """Return kernel, recurrent kernel and bias with the gates in the order of Keras."""
    order = np.argsort(GATES[type(layer)])

    def gates(weight: FloatArray) -> FloatArray:
        parts = np.split(weight, len(order), axis=-1)
        return np.concatenate([parts[k] for k in order], axis=-1)

    kernel, recurrent = (gates(weights[f"{name}.{part}"][0].T) for part in "WR")
    both = np.split(weights[f"{name}.B"][0], 2)
    # an LSTM has one bias, and zeros stand for the other
    bias = gates(both[0]) if isinstance(layer, own.FusedLSTM) else np.stack([gates(one) for one in both])
    return [kernel, recurrent, bias]
