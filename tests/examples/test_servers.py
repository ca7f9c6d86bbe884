import numpy as np
import pytest

from examples.servers import example


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    picture = tmp_path_factory.mktemp("servers") / "picture.png"
    found = example.main(["--small", "--out", str(picture)])
    assert picture.stat().st_size > 1000
    return found


def test_an_epsilon_of_the_labelled_part_finds_most_of_the_later_anomalies(figures):
    assert figures["test precision"] >= 0.9
    assert figures["test recall"] >= 0.7


def test_the_best_threshold_of_the_test_span_is_called_an_oracle_and_is_not_the_one_in_use(figures):
    assert figures["test f1"] <= figures["test oracle f1"]


def test_the_density_is_that_of_a_gaussian():
    class Known:  # the precision matrix of variances 4 and 1
        precision = np.diag([0.25, 1.0])

    class Fitted:
        assets = {"server": type("Calibration", (), {"usual": Known})}  # noqa: RUF012

    squared_distance = 3.0**2 / 4 + 2.0**2
    by_hand = np.exp(-0.5 * 3.0**2 / 4) / np.sqrt(2 * np.pi * 4) * np.exp(-0.5 * 2.0**2) / np.sqrt(2 * np.pi)
    assert example.density(np.array(squared_distance / 2), Fitted) == pytest.approx(by_hand)
