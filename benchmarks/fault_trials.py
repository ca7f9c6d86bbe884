"""What `faults.py` gives each flow to do, and how the outcome is compared with a twin that nothing interrupted.

A trial is a small project and one flow: `give_work` brings something new, `left_behind` looks at what a killed run
left, `faults` compares after the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from servers import make_project, readings, run

from offbeat.detection.reading import read_file
from offbeat.detection.streaming import final_rows
from offbeat.errors import OffbeatError
from offbeat.evaluation.ground import learnt_until
from offbeat.files import new_file
from offbeat.operation.alarms import Alarm
from offbeat.operation.scoring import score_folder
from offbeat.operation.store import Store
from offbeat.params import load_params
from offbeat.promotion import VERDICT, stamps
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.folder import read_folder
from offbeat.readings.ingestion import STATE_FILE, ingest
from offbeat.readings.sources import load_sources
from offbeat.registry import Model, Registry
from offbeat.training import fit_fleet

LEARNS = {"units": 24, "latent_size": 6, "epochs": 6, "steps_per_epoch": 40}  # enough to find more than PCA
SAME = 1e-6  # as far as scores of a piece and of the whole may differ, as a share
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass
class Faults:
    """What is wrong with a project, compared with its twin: rows (of retrain: models), and the rest in words."""

    lost: int = 0
    doubled: int = 0
    half_written: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.half_written or self.other)


class IngestTrial:
    """Files that are dropped: in order, late, replayed under another name, corrected."""

    flow = "ingest"
    assets = ("pump-1", "pump-2", "pump-3")

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.project, self.env = make_project(directory / "project", data=False), env
        self.late: dict[str, pd.DataFrame] = {}
        self.n_rows, self.n_files = 0, 0
        sources = [{"kind": "folder", "name": "drop", "path": "drop", "settle_s": 0}]
        (self.project / "sources.yaml").write_text(yaml.safe_dump({"sources": sources}))
        (self.project / "drop").mkdir()

    def give_work(self, rng: np.random.Generator) -> None:
        """Drop what came since the last round."""
        begin, self.n_rows = self.n_rows, self.n_rows + int(rng.integers(100, 400))
        for k, asset in enumerate(self.assets):
            frame = readings(self.n_rows, seed=k).iloc[begin:]
            held_back = rng.random(len(frame)) < 0.1
            self._drop(asset, frame[~held_back])
            if asset in self.late:
                self._drop(asset, self.late[asset])
            self.late[asset] = frame[held_back]
            if begin:
                first = int(rng.integers(begin - 20))
                self._drop(asset, readings(begin, seed=k).iloc[first : first + 20] + 1)
        known = sorted((self.project / "drop").iterdir())
        self._stamp(Path(shutil.copy(known[rng.integers(len(known))], self._next_name(self.assets[0]))))

    def left_behind(self) -> Faults:
        """Return what of data/ is half-written now."""
        data = next((p for name in ("data", ".data-old") if (p := self.project / name).is_dir()), None)
        faults = Faults()
        for file in sorted(data.glob("readings/*.csv")) if data else ():
            lines = file.read_bytes().splitlines(keepends=True)
            if not lines or any(line.count(b",") != 3 or not line.endswith(b"\n") for line in lines):
                faults.half_written.append(f"{file.name} after the kill")
        return faults

    def faults(self) -> Faults:
        """Compare data/ with one ingestion of all files."""
        found = Faults()
        with tempfile.TemporaryDirectory() as scratch:
            twin = Path(scratch) / "data"
            ingest(twin, load_sources(self.project / "sources.yaml", {}))
            for file in sorted(twin.glob("readings/*")):
                there = self.project / "data" / "readings" / file.name
                content = there.read_bytes() if there.exists() else b""
                ours, all_rows = (_stamps_of(text) for text in (content, file.read_bytes()))
                found.lost += len(set(all_rows) - set(ours))
                found.doubled += sum(ours.values()) - len(ours)
                if content != file.read_bytes():
                    found.other.append(f"{file.name} differs from that of one ingestion")
            if (self.project / "data" / STATE_FILE).read_bytes() != (twin / STATE_FILE).read_bytes():
                found.other.append(f"{STATE_FILE} differs from that of one ingestion")
        found.half_written += dvc_faults(self.project, self.env, "data.dvc") + still_locked(self.project)
        return found

    def _drop(self, asset: str, frame: pd.DataFrame) -> None:
        path = self._next_name(asset)
        frame.to_csv(path, date_format=TIME)
        self._stamp(path)

    def _next_name(self, asset: str) -> Path:
        self.n_files += 1
        return self.project / "drop" / f"{asset}__{self.n_files}.csv"

    def _stamp(self, path: Path) -> None:
        """Give each file its own time of change, in the order of the files."""
        when = 1_767_000_000_000_000_000 + self.n_files * 1_000_000_000
        os.utime(path, ns=(when, when))


class ScoreTrial:
    """Readings that go on, with gaps and with stretches that raise alarms."""

    flow = "score"

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.project, self.env = make_project(directory / "project", train=LEARNS), env
        self.champion = promote_one(self.project)
        self.detector = self.champion.load()
        self.since = {asset: stamp + 1 for asset, stamp in stamps(self.champion, "scores_from").items()}

    def give_work(self, rng: np.random.Generator) -> None:
        """Append readings of some days to each machine."""
        for one in asset_files(self.project / "data"):
            append_readings(one.files[0], rng, n=int(rng.integers(100, 400)), odd=True)

    def left_behind(self) -> Faults:
        """Return rows that are doubled now; lost ones the next run may still write."""
        return Faults(doubled=self._doubled())

    def faults(self) -> Faults:
        """Compare the store with scores of the whole, and with a store that was written in one go."""
        found = Faults(doubled=self._doubled(), half_written=still_locked(self.project))
        with (
            tempfile.TemporaryDirectory() as scratch,
            Store(f"sqlite:///{scratch}/twin.db") as twin,
            self._store() as ours,
        ):
            score_folder(self.detector, self.project / "data", twin, self.champion.version, self.since)
            if [_alarm_key(a) for a in ours.alarms()] != [_alarm_key(a) for a in twin.alarms()]:
                found.other.append(f"alarms: {len(ours.alarms())}, written in one go: {len(twin.alarms())}")
            with ours.database.reading() as connection:
                untold = "SELECT id FROM alarms WHERE part_of IS NULL AND id NOT IN (SELECT alarm_id FROM notices)"
                if gone := connection.exec_driver_sql(untold).all():
                    found.other.append(f"nobody will be told of alarms {gone}")
            for one in asset_files(self.project / "data"):
                self._compare(one, ours, found)
        return found

    def _compare(self, one: AssetFiles, ours: Store, found: Faults) -> None:
        series = read_file(self.detector, one)
        wanted = final_rows(self.detector, series) & (series.stamps >= self.since[series.asset])
        whole = pd.Series(self.detector.score(series).scores[wanted], series.stamps[wanted])
        with ours.database.reading() as connection:
            query = f"SELECT stamp, score FROM scores WHERE asset = '{series.asset}' ORDER BY stamp"
            rows = pd.DataFrame(connection.exec_driver_sql(query).all(), columns=["stamp", "score"])
        stored = pd.Series(rows["score"].astype(float).to_numpy(), rows["stamp"].to_numpy())
        found.lost += len(whole.index.difference(stored.index))
        if len(early := stored.index.difference(whole.index)):
            found.other.append(f"{series.asset}: {len(early)} rows that are not final")
        both = whole.index.intersection(stored.index)
        if not np.allclose(stored[both], whole[both], rtol=SAME, atol=0, equal_nan=True):
            found.other.append(f"{series.asset}: scores differ from those of the whole")

    def _doubled(self) -> int:
        with self._store() as store, store.database.reading() as connection:
            query = "SELECT count(*) - count(DISTINCT asset || ' ' || stamp) FROM scores"
            return int(connection.exec_driver_sql(query).scalar() or 0)

    def _store(self) -> Store:
        return Store(f"sqlite:///{self.project / 'offbeat.db'}")


class RetrainTrial:
    """More readings, or another seed."""

    flow = "retrain"

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.project, self.env = make_project(directory / "project", train=LEARNS), env
        self.registry = Registry(self.project / "registry")
        self.n_models = 0

    def give_work(self, rng: np.random.Generator) -> None:
        """Change what a stage depends on: the readings of all machines, the seed, or both."""
        self.n_models = len(self.registry.versions())
        what = rng.integers(3)
        if what != 0:
            for one in asset_files(self.project / "data"):
                append_readings(one.files[0], rng, n=int(rng.integers(20, 60)))
        if what != 1:
            params = yaml.safe_load((self.project / "params.yaml").read_text())
            params["train"]["seed"] = int(rng.integers(1_000_000))
            (self.project / "params.yaml").write_text(yaml.safe_dump(params))

    def left_behind(self) -> Faults:
        """Return what of the registry is half-written now."""
        return Faults(half_written=self._broken_models())

    def faults(self) -> Faults:
        """Check that DVC finds all as it should be, and the new model in the registry, once, whole and judged."""
        found = Faults(half_written=self._broken_models() + still_locked(self.project))
        models = self.registry.models()
        made = [m for m in models if int(m.version) > self.n_models]
        found.lost = int(not made or self.registry.find(self.project / "artifacts" / "detector") is None)
        found.doubled = max(len(made) - 1, 0)
        champion = self.registry.champion_version()
        if made and made[-1].card[VERDICT]["promote"] != (champion == made[-1].version):
            found.other.append(f"model {made[-1].version}: {made[-1].card[VERDICT]['reason']}; champion is {champion}")
        try:
            n_stages = len(yaml.safe_load((self.project / "dvc.lock").read_text())["stages"])
        except (yaml.YAMLError, KeyError, TypeError) as error:
            found.half_written.append(f"dvc.lock: {type(error).__name__}")
        else:
            found.lost += 4 - n_stages
        found.half_written += dvc_faults(self.project, self.env)
        return found

    def _broken_models(self) -> list[str]:
        damage = [f"model {model.version}: {model.damage}" for model in self.registry.models() if model.damage]
        unread = set(self.registry.versions()) - {model.version for model in self.registry.models()}
        damage += [f"model {version}: no card" for version in unread]
        try:
            self.registry.champion()
        except OffbeatError as error:
            damage.append(str(error))
        return damage


Trial = IngestTrial | ScoreTrial | RetrainTrial
TRIALS: dict[str, type[Trial]] = {trial.flow: trial for trial in (IngestTrial, ScoreTrial, RetrainTrial)}


def dvc_faults(project: Path, env: Mapping[str, str], *targets: str) -> list[str]:
    """Return what DVC finds other than it should be."""
    command = (sys.executable, "-m", "dvc", "status", "--json", *targets)
    said = run(*command, cwd=project, env=dict(env)).strip().splitlines()[-1]
    return [] if said == "{}" else [f"dvc status: {said}"]


def still_locked(project: Path) -> list[str]:
    """Return the locks that somebody holds; after a run nobody should."""
    held = []
    for path in (*project.glob(".offbeat/*.lock"), project / ".data.lock", project / "registry" / ".lock"):
        if path.exists():
            with path.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(f"{path.name} is held")
    return held


def append_readings(file: Path, rng: np.random.Generator, n: int, *, odd: bool = False) -> None:
    """Append `n` readings of the same machine; `odd` with a gap, and a stretch that should raise an alarm."""
    seed = int(file.stem.partition("-")[2])
    known = pd.read_csv(file, index_col=0, parse_dates=True)
    begin = round((known.index[-1] - readings(1, seed).index[0]) / pd.Timedelta("10min")) + 1
    if odd:
        begin += int(rng.integers(0, 12))  # up to max_gap it is filled, beyond it a new segment begins
    new = readings(begin + n, seed).iloc[begin:].copy()
    if odd:
        first = int(rng.integers(n - 12))
        new.iloc[first : first + 12, int(rng.integers(3))] += 3 * float(new.to_numpy().std())
    with new_file(file) as scratch:
        pd.concat([known, new]).rename_axis("timestamp").to_csv(scratch, date_format=TIME)


def promote_one(project: Path) -> Model:
    """Train a model on the project's readings and make it the champion."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        fitted = fit_fleet(read_folder(project / "data"), load_params(project / "params.yaml"))
        fitted.detector.save(Path(scratch) / "detector")
        registry = Registry(project / "registry")
        model = registry.register(Path(scratch) / "detector", {"scores_from": learnt_until(fitted.fleet)})
        return registry.promote(model.version, by="benchmark", why="the only one")


def _stamps_of(content: bytes) -> Counter[bytes]:
    """Count each timestamp of a CSV file."""
    return Counter(line.partition(b",")[0] for line in content.splitlines()[1:])


def _alarm_key(alarm: Alarm) -> tuple[object, ...]:
    return alarm.asset, alarm.first, alarm.last, alarm.n_timesteps, round(alarm.peak_ratio, 5)
