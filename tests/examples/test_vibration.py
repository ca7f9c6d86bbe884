import numpy as np
import pytest

from examples.vibration import example


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    picture = tmp_path_factory.mktemp("vibration") / "picture.png"
    found = example.main(["--small", "--out", str(picture)])
    assert picture.stat().st_size > 1000
    return found


@pytest.mark.slow
def test_every_wearing_machine_is_in_lasting_alarm_days_before_its_end(figures):
    forecaster = figures["recurrent_forecaster"]
    assert forecaster["found in time"] == forecaster["wearing"] == 5
    assert forecaster["median lead in days"] >= 3


@pytest.mark.slow
def test_false_alarms_stay_near_the_budget(figures):
    assert figures["recurrent_forecaster"]["false alarms a machine and week"] <= 2 * 0.5


def test_a_machine_that_wears_has_larger_peaks_at_its_end():
    worn, onset = example.simulate(0)
    healthy, never = example.simulate(3)
    assert onset < example.N_HOURS == never
    assert worn.values[-24:, 0].mean() > 2 * worn.values[:onset, 0].mean()
    assert healthy.values[-24:, 0].mean() < 2 * healthy.values[:onset, 0].mean()


class Scored:
    """A result of ten timesteps with one alarm."""

    scores = np.zeros(10)

    def __init__(self, start, stop):
        self.events = [type("Event", (), {"start": start, "stop": stop})]


def test_an_alarm_that_ends_before_the_end_gives_no_lead_time():
    assert example.lead_days(Scored(4, 10)) == 6 / 24
    assert np.isnan(example.lead_days(Scored(4, 9)))
