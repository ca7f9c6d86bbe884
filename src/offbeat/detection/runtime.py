"""ONNX Runtime: windows to estimates of their readings, on the CPU.

The session is made once and shared. It takes batches small enough to stay in the processor's cache, each with one
thread; several batches go to several processors. Within a batch more threads would wait for each other at every step.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from offbeat.errors import ModelError
from offbeat.typing import FloatArray

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")


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

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
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
        result: FloatArray = self._session.run(None, {"windows": windows.astype(np.float32, copy=False)})[0]
        return result

    def each(self, work: Callable[[_Batch], _Result], batches: Iterable[_Batch]) -> Iterator[_Result]:
        """Yield what `work`, which asks for estimates, makes of each batch, in order; several at once."""
        running: deque[Future[_Result]] = deque()
        try:
            for batch in batches:
                running.append(self._pool.submit(work, batch))
                if len(running) > 2 * n_processors():  # some wait, so that no processor does
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(n_processors(), thread_name_prefix="offbeat-score")


def n_processors() -> int:
    """Return how many processors this process may use: those it is bound to, or fewer if OMP_NUM_THREADS says so."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(bound, int(told)) if told.isdecimal() and int(told) > 0 else bound
