"""The ONNX graph is the Keras network, to 1e-5, whatever the sizes."""

import numpy as np
import onnx
import pytest

from offbeat.detection.runtime import Runtime
from offbeat.models.export import export_autoencoder
from offbeat.models.recurrent import build_autoencoder

SIZES = [  # W, F, units, latent, position, linear
    (4, 1, 1, 1, 2, 0),
    (8, 3, 6, 3, 4, 2),
    (33, 5, 16, 2, 16, 0),
    (20, 2, 3, 9, 6, 1),
    (8, 6, 5, 2, 4, 5),
]


def stirred(window_size, n_channels, units, latent_size, position_size, linear_size):
    """A network whose biases are not the zeros that it is born with, and whose gates saturate here and there."""
    model = build_autoencoder(
        window_size,
        n_channels,
        units=units,
        latent_size=latent_size,
        position_size=position_size,
        seed=1,
        linear_size=linear_size,
    )
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.normal(0, 0.5, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("sizes", SIZES)
def test_the_graph_gives_the_numbers_of_keras_for_any_batch(sizes):
    model = stirred(*sizes)
    runtime = Runtime(export_autoencoder(model))
    assert (runtime.window_size, runtime.n_channels) == sizes[:2]
    for n in (1, 2, 65):
        windows = np.random.default_rng(n).normal(0, 2, (n, *sizes[:2])).astype(np.float32)
        np.testing.assert_allclose(runtime.reconstruct(windows), np.asarray(model(windows)), rtol=0, atol=1e-5)


def test_a_window_is_reconstructed_alike_alone_and_among_others():
    runtime = Runtime(export_autoencoder(stirred(*SIZES[1])))
    windows = np.random.default_rng(0).normal(0, 2, (9, 8, 3)).astype(np.float32)
    alone = np.concatenate([runtime.reconstruct(window[None]) for window in windows])
    np.testing.assert_allclose(runtime.reconstruct(windows), alone, rtol=0, atol=1e-6)


def test_the_gates_keep_their_order():
    """Each gate alone, opened by its bias, moves Keras and the graph alike."""
    model = stirred(*SIZES[1])
    windows = np.random.default_rng(0).normal(0, 1, (3, 8, 3)).astype(np.float32)
    for gate in range(4):
        for name in ("encoder", "decoder"):
            kernel, recurrent, bias = model.get_layer(name).get_weights()
            pushed = bias.copy()
            pushed[gate * 6 : (gate + 1) * 6] += 3
            model.get_layer(name).set_weights([kernel, recurrent, pushed])
            expected = np.asarray(model(windows))
            np.testing.assert_allclose(
                Runtime(export_autoencoder(model)).reconstruct(windows), expected, rtol=0, atol=1e-5
            )
            model.get_layer(name).set_weights([kernel, recurrent, bias])


def test_the_same_weights_make_the_same_bytes():
    assert export_autoencoder(stirred(*SIZES[1])) == export_autoencoder(stirred(*SIZES[1]))


def test_the_graph_uses_only_the_standard_operators_of_its_version():
    proto = onnx.load_from_string(export_autoencoder(stirred(*SIZES[0])))
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 9
    assert sum(node.op_type == "LSTM" for node in proto.graph.node) == 2
