"""Trained weights to an ONNX graph around the standard LSTM operator.

Written by hand because exporters unroll or loop: the operator runs several times faster on ONNX Runtime.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offbeat.models.recurrent import has_linear_part, position_code

OPSET = 17
IR_VERSION = 9  # what every ONNX Runtime since 1.16 reads


def export_autoencoder(model: keras.Model) -> bytes:
    """Return the ONNX file of an autoencoder from `build_autoencoder`.

    The graph maps `windows` (N, W, F) float32 to `reconstruction` (N, W, F) float32, for N of at least 1.
    """
    window_size, n_channels = model.input_shape[1:]
    repeat = model.get_layer("repeat")
    weights = [
        *_lstm_weights("encoder", model.get_layer("encoder")),
        *_dense_weights("code", model.get_layer("code")),
        *_lstm_weights("decoder", model.get_layer("decoder")),
        *_dense_weights("reconstruction", model.get_layer("reconstruction")),
        _constant("position", position_code(window_size, repeat.position_size).astype(np.float32)[:, None, :]),
        _constant("first_axis", np.array([0])),
        _constant("direction_axis", np.array([1])),
        _constant("n_timesteps", np.array([window_size])),
        _constant("one", np.array([1])),
        _constant("position_size", np.array([repeat.position_size])),
    ]
    linear_weights, linear_nodes, total = _linear_part(model)
    nodes = [
        helper.make_node("Transpose", ["windows"], ["by_timestep"], perm=[1, 0, 2]),  # (W, N, F)
        _lstm_node("encoder", "by_timestep", ["", "state"], model.get_layer("encoder").units),
        helper.make_node("Squeeze", ["state", "first_axis"], ["last_state"]),  # (N, units)
        helper.make_node("Gemm", ["last_state", "code.kernel", "code.bias"], ["code"]),
        helper.make_node("Unsqueeze", ["code", "first_axis"], ["code_row"]),  # (1, N, L)
        helper.make_node("Shape", ["code"], ["n_windows"], start=0, end=1),
        helper.make_node("Concat", ["n_timesteps", "one", "one"], ["repeat_shape"], axis=0),
        helper.make_node("Expand", ["code_row", "repeat_shape"], ["repeated"]),  # (W, N, L)
        helper.make_node("Concat", ["n_timesteps", "n_windows", "position_size"], ["position_shape"], axis=0),
        helper.make_node("Expand", ["position", "position_shape"], ["positions"]),  # (W, N, P)
        helper.make_node("Concat", ["repeated", "positions"], ["decoder_input"], axis=2),
        _lstm_node("decoder", "decoder_input", ["hidden", ""], model.get_layer("decoder").units),
        helper.make_node("Squeeze", ["hidden", "direction_axis"], ["hidden_rows"]),  # (W, N, units)
        helper.make_node("MatMul", ["hidden_rows", "reconstruction.kernel"], ["product"]),
        helper.make_node("Add", ["product", "reconstruction.bias"], ["recurrent_part"]),
        *linear_nodes,
        helper.make_node("Transpose", [total], ["reconstruction"], perm=[1, 0, 2]),  # (N, W, F)
    ]
    shape = ["n_windows", window_size, n_channels]
    graph = helper.make_graph(
        nodes,
        model.name,
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, shape)],
        initializer=weights + linear_weights,
    )
    proto = helper.make_model(
        graph, producer_name="offbeat", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _linear_part(model: keras.Model) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto], str]:
    """Return weights and nodes of the linear part, none where there is none, and the name of the reconstruction."""
    if not has_linear_part(model):
        return [], [], "recurrent_part"
    names = ("linear_code", "linear_part")
    weights = [_constant(f"{name}.kernel", model.get_layer(name).get_weights()[0]) for name in names]
    nodes = [
        helper.make_node("MatMul", ["by_timestep", "linear_code.kernel"], ["linear_code"]),  # (W, N, K)
        helper.make_node("MatMul", ["linear_code", "linear_part.kernel"], ["linear_part"]),
        helper.make_node("Add", ["recurrent_part", "linear_part"], ["sum"]),
    ]
    return weights, nodes, "sum"


def _constant(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def _dense_weights(name: str, layer: Any) -> list[onnx.TensorProto]:
    kernel, bias = layer.get_weights()
    return [_constant(f"{name}.kernel", kernel), _constant(f"{name}.bias", bias)]


def _lstm_weights(name: str, layer: Any) -> list[onnx.TensorProto]:
    """Return kernel, recurrent kernel and bias in ONNX's form: rows of gates i, o, f, c; Keras has i, f, c, o."""
    kernel, recurrent, bias = (
        np.concatenate([gates[0], gates[3], gates[1], gates[2]], axis=-1)
        for gates in (np.split(weight, 4, axis=-1) for weight in layer.get_weights())
    )
    return [
        _constant(f"{name}.W", kernel.T[None]),  # (1, 4 units, input)
        _constant(f"{name}.R", recurrent.T[None]),
        _constant(f"{name}.B", np.concatenate([bias, np.zeros_like(bias)])[None]),
    ]


def _lstm_node(name: str, source: str, outputs: list[str], units: int) -> onnx.NodeProto:
    inputs = [source, f"{name}.W", f"{name}.R", f"{name}.B"]
    return helper.make_node("LSTM", inputs, outputs, name=name, hidden_size=units)
