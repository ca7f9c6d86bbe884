"""An ONNX graph in the making: nodes, weights, and the file that comes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9  # what every ONNX Runtime since 1.16 reads


@dataclass
class Graph:
    """Nodes and weights of an ONNX graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node of one output and return the output's name."""
        self.add_many(operator, inputs, [output], **attributes)
        return output

    def add_many(self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """Add a node of several outputs, "" for one that is not wanted."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def constant(self, name: str, value: Any) -> str:
        """Add a weight, or a whole number that an operator asks for, and return its name."""
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def by_timestep(self, name: str, rank: int) -> str:
        """Swap the first two axes."""
        return self.add("Transpose", [name], f"{name}.by_timestep", perm=[1, 0, 2, 3][:rank])

    def reshaped(self, name: str, shape: list[int], output: str) -> str:
        """Reshape; 0 keeps an axis as it is, -1 takes what is left."""
        return self.add("Reshape", [name, self.constant(f"{output}.shape", np.array(shape))], output)

    def file(self, name: str, windows: tuple[int, ...], estimates: tuple[int, ...]) -> bytes:
        """Return the checked file; shapes without the number of windows."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["n_windows", *windows])],
            [helper.make_tensor_value_info("estimates", TensorProto.FLOAT, ["n_windows", *estimates])],
            initializer=list(self.weights.values()),
        )
        proto = helper.make_model(
            graph, producer_name="offbeat", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        onnx.checker.check_model(proto)
        return bytes(proto.SerializeToString())
