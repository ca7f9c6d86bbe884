"""What several test modules share: a small network that needs no training, and readings for it."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.params import changed, load_params
from offbeat.readings.series import Series
from offbeat.stages import calibrate, evaluate, prepare

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

WINDOW_SIZE, CHANNELS = 8, ("flow", "speed", "temp")


@pytest.fixture(scope="session")
def graph():
    """ONNX file of an untrained autoencoder of windows (N, 8, 3)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        from offbeat.models.export import export_network
        from offbeat.models.recurrent import build_autoencoder

        sizes = {"units": 6, "latent_size": 3, "position_size": 4, "linear_size": 0, "seed": 1}
        params = load_params(changes={"train": sizes}).train
        return export_network(build_autoencoder(WINDOW_SIZE, len(CHANNELS), params))


@pytest.fixture(scope="session")
def runtime(graph):
    return Runtime(graph)


@pytest.fixture
def make_series():
    """Readings of a machine that hums: three channels, 10 minutes apart or indexed by integers, with chosen gaps."""

    def make(n=400, *, asset="pump-1", seed=0, gaps=(), missing=0.0, timed=True, max_gap=2, channels=CHANNELS):
        rng = np.random.default_rng(seed)
        t = np.arange(n)[:, None]
        values = np.sin(t / np.array([5.0, 9.0, 14.0])) * [2, 30, 1] + [50, 1400, 40]
        values = values + rng.standard_normal((n, 3)) * [0.2, 2, 0.1]
        values[rng.random((n, 3)) < missing] = np.nan
        index = pd.date_range("2026-01-05 00:10", periods=n, freq="10min") if timed else pd.RangeIndex(7, 7 + n)
        frame = pd.DataFrame(values, index, list(CHANNELS))[list(channels)]
        kept = np.ones(n, dtype=bool)
        for start, stop in gaps:
            kept[start:stop] = False
        return Series.from_frame(frame[kept], asset, period="10min" if timed else 1, max_gap=max_gap)

    return make


@pytest.fixture
def make_detector(runtime, make_series):
    """A detector around that network, calibrated for `pump-1` on its first 400 readings."""

    own = runtime

    def make(series=None, prepare=None, runtime=None, **changes):
        series = series or make_series()
        chosen = {"stride": 1, "delay": 0, "smoothing": 4, "merge_gap": 2, **changes}
        params = changed(load_params().calibrate, chosen)
        preprocessing = load_params(changes={"prepare": prepare or {}}).prepare.preprocessing
        detector = Detector(runtime or own, CHANNELS, series.step, series.is_time, 2, preprocessing, params)
        return detector.calibrate(series)

    return make


def _binary(name):
    found = shutil.which(name)
    places = [Path(found)] if found else sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not places:
        pytest.skip(f"no {name} on this machine: PostgreSQL is not installed")
    return str(places[-1])


@pytest.fixture(scope="session")
def postgres():
    """Address of a PostgreSQL server of these tests' own, which must not run as root."""
    psycopg = pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'offbeat[postgres]'")
    initdb, postgres = _binary("initdb"), _binary("postgres")
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    home = Path(tempfile.mkdtemp(prefix="offbeat-postgres-"))
    os.chown(home, user.pw_uid, user.pw_gid)
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    make = [initdb, "-D", home / "db", "-U", "offbeat", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
    subprocess.run(make, check=True, **quiet, **as_user)
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen([postgres, "-D", home / "db", *settings], **quiet, **as_user)
    try:
        for _ in range(100):
            try:
                psycopg.connect(host="127.0.0.1", port=port, user="offbeat", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None, "the PostgreSQL server ended at once"
                time.sleep(0.1)
        yield f"postgresql://offbeat:hush@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGQUIT)  # end at once; nobody needs what it holds
        server.wait(30)
        shutil.rmtree(home)


SECTIONS = {
    "prepare": {"period": "10min", "max_gap": 2, "window_size": 8},
    "calibrate": {"delay": 0, "smoothing": 4, "merge_gap": 2, "false_alarms_per_week": 20.0},
}
FAULT = slice(1300, 1340)  # in the test span of pump-1: a sensor that lies


@pytest.fixture
def project(tmp_path, graph, make_series):
    """A project after its stages, but for the training: two machines, the second without a fault."""
    (tmp_path / "data" / "readings").mkdir(parents=True)
    for asset, seed in (("pump-1", 0), ("pump-2", 1)):
        frame = make_series(1500, seed=seed).to_frame().rename_axis("timestamp")
        if asset == "pump-1":
            frame.iloc[FAULT, 0] += 8.0
        frame.to_csv(tmp_path / "data" / "readings" / f"{asset}.csv")
    model = tmp_path / "artifacts" / "model"
    model.mkdir(parents=True)
    for name in ("model.onnx", "untrained.onnx"):
        (model / name).write_bytes(graph)
    params = load_params(changes=SECTIONS)
    (tmp_path / "params.yaml").write_text(json.dumps(params.model_dump()))  # JSON is YAML
    (model / "train.json").write_text(json.dumps(params.train.model_dump()))
    (model / "loss.csv").write_text("epoch,loss,held_out_loss,learning_rate\n1,0.9,0.8,0.005\n2,0.6,0.7,0.001\n")
    (model / "training.json").write_text('{"explained_variance": 0.5}')
    for name in ("dvc.lock", "data.dvc", "start.dvc"):
        (tmp_path / name).write_text(f"# {name}\n")
    prepare.run(params.prepare, root=tmp_path)
    calibrate.run(params.calibrate, root=tmp_path)
    evaluate.run(params.evaluate, root=tmp_path)
    return tmp_path
