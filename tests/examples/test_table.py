import numpy as np
import pytest

from examples.table import example


@pytest.mark.slow
def test_a_dense_autoencoder_finds_rows_whose_values_do_not_go_together(tmp_path):
    figures = example.main(["--small", "--out", str(tmp_path / "picture.png")])
    dense, mean = figures["dense_autoencoder"], figures["mean"]
    assert dense["precision"] >= 0.9
    assert dense["recall"] >= 0.7
    assert mean["recall"] < 0.2  # each value alone is usual
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_every_value_of_an_outlier_is_one_of_its_column():
    series, outlier = example.simulate()
    normal = series.values[~outlier]
    assert (len(normal), outlier.sum()) == (1000, 50)
    assert not outlier[: example.TEST_START].any()
    inside = (series.values[outlier] >= normal.min(axis=0)) & (series.values[outlier] <= normal.max(axis=0))
    assert np.mean(inside) > 0.99
