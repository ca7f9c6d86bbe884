"""ONNX Runtime: windows to their reconstruction, on the CPU.

One session is made once and shared; it takes batches small enough to stay in the processor's cache.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from offbeat.errors import ModelError
from offbeat.typing import FloatArray


class Runtime:
    """A network that reconstructs windows.

    Parameters
    ----------
    graph : bytes
        An ONNX file that maps (N, W, F) float32 to the same shape.

    Raises
    ------
    ModelError
        If the bytes are no such graph.
    """

    def __init__(self, graph: bytes) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it reads this when it loads
        import onnxruntime  # here, so that reading a detector's card costs nothing

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # threads that wait busily halve the rate of small batches where several processes score, and gain nothing else
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"the ONNX graph cannot be loaded ({error}): restore the model folder") from error
        shape = self._session.get_inputs()[0].shape
        self.window_size, self.n_channels = int(shape[1]), int(shape[2])
        self.graph = graph

    def reconstruct(self, windows: FloatArray) -> FloatArray:
        """Return the reconstruction (N, W, F) of windows (N, W, F), N of at least 1, without NaN."""
        # ONNX Runtime aborts the process on a batch of 0 windows
        assert len(windows) > 0, "the caller skips empty batches"
        result: FloatArray = self._session.run(None, {"windows": windows.astype(np.float32, copy=False)})[0]
        return result
