"""A served model: the small detector of all tests, kept in a registry."""

import numpy as np
import pytest

from offbeat.detection.fleet import Fleet
from offbeat.registry import Registry
from offbeat.serving.current import Current
from offbeat.serving.requests import Limits
from offbeat.serving.stamps import stamp_texts


@pytest.fixture
def keep(tmp_path):
    """Keep a detector or a fleet in a registry, as its champion; return the registry."""
    registry = Registry(tmp_path / "registry")

    def keep(detector):
        place = tmp_path / f"detector-{len(registry.versions())}"
        detector.save(place)
        model = registry.register(place, {"metrics": {"vus_pr": 0.9}})
        registry.promote(model.version, by="a test", why="first")
        return registry

    return keep


@pytest.fixture
def groups(make_detector, make_series):
    """Two groups: pumps with readings every ten minutes, meters of an integer index, a wider window's context."""
    meters = make_detector(make_series(asset="meter-1", timed=False), smoothing=6)
    return Fleet({"pumps": make_detector(), "meters": meters})


@pytest.fixture
def current(keep, make_detector, tmp_path):
    current = Current(tmp_path / "nowhere", keep(make_detector()).directory)
    current.load()
    return current


@pytest.fixture
def fleet(current):
    return current.served.fleet


@pytest.fixture
def detector(fleet):
    return fleet.detector_of("pump-1")


@pytest.fixture
def limits():
    return Limits(body=100_000, rows=1_000, channels=10, assets=3)


@pytest.fixture
def request_of():
    """A series as a client would send it: JSON has no NaN."""

    def request(series, **changes):
        values = np.where(np.isnan(series.values), None, series.values).tolist()
        return {
            "asset": series.asset,
            "timestamps": stamp_texts(series.stamps, series.is_time),
            "values": values,
            **changes,
        }

    return request
