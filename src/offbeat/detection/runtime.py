"""ONNX Runtime: windows to estimates of their readings, on the CPU.

Sessions are made once and shared; they take batches small enough to stay in the processor's cache.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from offbeat.errors import ModelError
from offbeat.typing import FloatArray

SMALL_BATCH = 8  # windows; to wake a second thread for so few takes longer than it saves


class Runtime:
    """A model that estimates readings from the window around them or before them.

    Parameters
    ----------
    graph : bytes
        An ONNX file that maps windows (N, W, F + C) float32, C calendar columns after the F channels, to estimates
        (N, H, F) of their last H timesteps, or (N, H, F, 3) with a bound below and above in first and last place.

    Attributes
    ----------
    window_size, n_channels : int
        W and F.
    horizon : int
        H: the window size for a model that reconstructs, less for one that forecasts.
    n_calendar : int
        C.
    has_interval : bool
        Whether the estimates come with bounds.

    Raises
    ------
    ModelError
        If the bytes are no such graph.
    """

    def __init__(self, graph: bytes) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it reads this when it loads
        import onnxruntime  # here, so that reading a detector's card costs nothing

        def session(n_threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = n_threads  # 0: one a core
            # threads that wait busily take the processor from other processes that score, and gain nothing
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        try:
            self._session, self._small = session(0), session(1)
        except Exception as error:
            raise ModelError(f"the ONNX graph cannot be loaded ({error}): restore the model folder") from error
        given, estimated = self._session.get_inputs()[0].shape, self._session.get_outputs()[0].shape
        self.window_size, self.horizon, self.n_channels = int(given[1]), int(estimated[1]), int(estimated[2])
        self.n_calendar = int(given[2]) - self.n_channels
        self.has_interval = len(estimated) == 4
        self.graph = graph

    def estimate(self, windows: FloatArray) -> FloatArray:
        """Return the estimates for windows (N, W, F + C), N of at least 1, without NaN."""
        # ONNX Runtime aborts the process on a batch of 0 windows
        assert len(windows) > 0, "the caller skips empty batches"
        session = self._small if len(windows) <= SMALL_BATCH else self._session
        result: FloatArray = session.run(None, {"windows": windows.astype(np.float32, copy=False)})[0]
        return result
