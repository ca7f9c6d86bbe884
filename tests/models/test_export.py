"""The ONNX graph is the Keras network, to 2e-5, whatever its kind, its parts and its sizes."""

import numpy as np
import onnx
import pytest
from networks import CASES, Case, autoencoder, dense, dense_forecaster, forecaster, stirred

from offbeat.detection.runtime import Runtime
from offbeat.models.export import export_network
from offbeat.models.network import BUILDERS


def windows_of(case, n):
    shape = (n, case.window_size, case.n_channels + case.n_calendar)
    return np.random.default_rng(n).normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graph_gives_the_numbers_of_keras_for_any_batch(case):
    model = stirred(case)
    runtime = Runtime(export_network(model))
    horizon = case.changes.get("horizon", 3) if case.model.endswith("forecaster") else case.window_size
    assert (runtime.window_size, runtime.n_channels, runtime.n_calendar, runtime.horizon) == (
        case.window_size,
        case.n_channels,
        case.n_calendar,
        horizon,
    )
    assert runtime.has_interval == ("output" in case.changes)
    for n in (1, 7):
        windows = windows_of(case, n)
        estimates = runtime.estimate(windows)
        assert estimates.dtype == np.float32
        assert estimates.shape == (n, horizon, case.n_channels, *((3,) if runtime.has_interval else ()))
        np.testing.assert_allclose(estimates, np.asarray(model(windows)), rtol=0, atol=2e-5)


@pytest.mark.parametrize("case", [CASES[0], CASES[9], CASES[13], CASES[21]], ids=str)
def test_a_window_is_estimated_alike_alone_and_among_others(case):
    runtime, windows = Runtime(export_network(stirred(case))), windows_of(case, 20)
    alone = np.concatenate([runtime.estimate(window[None]) for window in windows])
    np.testing.assert_allclose(runtime.estimate(windows), alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("cell", "n_gates"), [("lstm", 4), ("gru", 3)])
def test_the_gates_keep_their_order(cell, n_gates):
    """Each gate alone, opened by its bias, moves Keras and the graph alike."""
    case = autoencoder(units=6, cell=cell, linear_size=0)
    model, windows = stirred(case), windows_of(case, 3)
    for gate in range(n_gates):
        for name in ("encoder", "decoder"):
            kernel, recurrent, bias = model.get_layer(name).get_weights()
            pushed = bias.copy()
            pushed[..., gate * 6 : (gate + 1) * 6] += 3
            model.get_layer(name).set_weights([kernel, recurrent, pushed])
            estimates = Runtime(export_network(model)).estimate(windows)
            np.testing.assert_allclose(estimates, np.asarray(model(windows)), rtol=0, atol=2e-5)
            model.get_layer(name).set_weights([kernel, recurrent, bias])


@pytest.mark.parametrize("model", BUILDERS)
def test_the_same_weights_make_the_same_bytes(model):
    assert export_network(stirred(Case(model))) == export_network(stirred(Case(model)))


@pytest.mark.parametrize("case", [*CASES[:14:3], *CASES[14::3]], ids=str)
def test_the_graph_uses_only_the_standard_operators_of_its_version(case):
    proto = onnx.load_from_string(export_network(stirred(case)))
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions
    assert proto.ir_version == 9


@pytest.mark.parametrize(
    ("case", "operators"),
    [
        (autoencoder(), {"LSTM": 2}),
        (autoencoder(cell="gru", units=[4, 3], direction="both"), {"GRU": 8}),
        (forecaster(), {"LSTM": 1}),
        (forecaster(strategy="recursive"), {"LSTM": 3}),  # one over the past, one a further step
        (dense(), {}),
        (dense_forecaster(), {}),
    ],
    ids=str,
)
def test_a_recurrent_layer_is_one_operator_over_all_timesteps(case, operators):
    nodes = onnx.load_from_string(export_network(stirred(case))).graph.node
    found = [node.op_type for node in nodes if node.op_type in {"LSTM", "GRU", "Loop", "Scan", "If"}]
    assert {kind: found.count(kind) for kind in found} == operators
