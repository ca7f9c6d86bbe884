"""ONNX Runtime reconstructs windows one by one, however they are batched."""

import numpy as np
import pytest

from offbeat.detection.runtime import Runtime
from offbeat.errors import ModelError

WINDOWS = np.random.default_rng(0).standard_normal((20, 8, 3)).astype(np.float32)


def test_the_runtime_knows_the_shape_of_its_windows(runtime):
    assert (runtime.window_size, runtime.n_channels) == (8, 3)
    assert runtime.estimate(WINDOWS).shape == (20, 8, 3)


def test_a_reconstruction_does_not_depend_on_the_batch(runtime):
    alone = np.concatenate([runtime.estimate(WINDOWS[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(runtime.estimate(WINDOWS), alone, atol=1e-6)


def test_bytes_that_are_no_graph_are_refused_with_a_remedy():
    with pytest.raises(ModelError, match=r"ONNX graph cannot be loaded.*restore the model folder"):
        Runtime(b"not a graph")


def test_each_batch_comes_back_in_order_and_as_if_alone(runtime):
    windows = np.random.default_rng(0).standard_normal((200, 8, 3)).astype(np.float32)
    batches = np.array_split(windows, 23)
    found = list(runtime.each(runtime.estimate, batches))
    assert len(found) == 23
    for batch, estimates in zip(batches, found, strict=True):
        np.testing.assert_array_equal(estimates, runtime.estimate(batch))


def test_an_error_in_a_batch_reaches_the_caller(runtime):
    def work(batch):
        if batch == 5:
            raise ValueError("batch 5")
        return batch

    given = []
    with pytest.raises(ValueError, match="batch 5"):
        given.extend(runtime.each(work, range(40)))
    assert list(runtime.each(work, range(5))) == [0, 1, 2, 3, 4]
