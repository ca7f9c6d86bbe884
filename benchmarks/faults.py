"""`kill -9` of the flows at random points: is a row lost or doubled, anything half-written, does the next run complete?

    python benchmarks/faults.py --rounds 50 --seed 7 --out artifacts/faults.jsonl

A round gives a flow work, kills its run and runs it again; then what is there is compared with a twin that was never
interrupted. A run is killed at a random moment of a random part of its log, so that short parts are met as often as
long ones; in every other round with all that it started, else alone. Each round is a line of the results; started
again, the benchmark goes on with the next. All happens in small projects, with a Prefect server of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

if not __package__:  # run as a script
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "tests")]

from servers import Server, kill_tree

from benchmarks.fault_trials import TRIALS, Faults, Trial
from offbeat.files import new_file

BEGINS, ENDS = "Beginning flow run", "Finished in state Completed"
LONGEST_RUN_S = 900.0
SHORTEST_PART_S = 0.02


@dataclass(frozen=True)
class Moment:
    """So long after that line of a run's log."""

    line: int
    after_s: float


@dataclass(frozen=True)
class Run:
    """What a run of a flow said, when in seconds since its first line, and how it ended."""

    lines: tuple[str, ...]
    times_s: tuple[float, ...]
    killed: bool
    completed: bool
    orphans: tuple[psutil.Process, ...] = ()


def main() -> int:
    """Run what the results lack, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="kills in mid-run of each flow")
    parser.add_argument("--only", action="append", choices=list(TRIALS), help="this flow; may be given again")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("artifacts/faults.jsonl"), help="results so far, and from now")
    parser.add_argument("--keep", type=Path, help="folder for the projects, which stay; by default they go")
    arguments = parser.parse_args()
    flows = arguments.only or list(TRIALS)
    with tempfile.TemporaryDirectory(prefix="offbeat-faults-") as scratch:
        directory = (arguments.keep or Path(scratch)).resolve()
        (directory / "server").mkdir(parents=True, exist_ok=True)
        server = Server(directory / "server")
        try:
            for flow in flows:
                play(flow, directory, server.env, arguments.out, rounds=arguments.rounds, seed=arguments.seed)
        finally:
            server.close()
    results = [one for one in read_results(arguments.out) if one["flow"] in flows]
    print(table(results))
    return int(any(is_bad(one) for one in results))


def play(
    flow: str, directory: Path, env: Mapping[str, str], out: Path, *, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """Play rounds until so many runs were killed in mid-run; return the results of all, as they stand in `out`.

    A round that went wrong is the last of its project; the next begins with a new one.
    """
    trial: Trial | None = None
    while True:
        results = [one for one in read_results(out) if one["flow"] == flow]
        if sum(one["killed"] for one in results) >= rounds:
            return results
        number = len(results)
        rng = np.random.default_rng([seed, zlib.crc32(flow.encode()), number])
        if trial is None:
            trial = TRIALS[flow](directory / f"{flow}-{number}", env)
            trial.give_work(rng)
            usual = run_flow(trial)
            if not usual.completed:
                raise SystemExit(f"flow {flow}: fails without being killed: {' | '.join(usual.lines[-8:])}")
        result, usual = play_round(trial, usual, rng, family=bool(number % 2))
        result = {"flow": flow, "round": number, "seed": seed, **result}
        with new_file(out) as scratch:
            scratch.write_text(
                "".join(json.dumps(one) + "\n" for one in [*read_results(out), result]), encoding="utf-8"
            )
        print(f"{flow} {number}: {summary(result)}", flush=True)
        if is_bad(result):
            trial = None


def play_round(trial: Trial, usual: Run, rng: np.random.Generator, *, family: bool) -> tuple[dict[str, Any], Run]:
    """Kill a run of a trial's flow and run it again; return the result, and how long the flow takes now.

    Parameters
    ----------
    trial : Trial
    usual : Run
        One that was not killed, to draw the moment from.
    rng : Generator
    family : bool
        Whether to kill what the run started, too.
    """
    trial.give_work(rng)
    moment = draw_moment(usual, rng)
    killed = run_flow(trial, moment, family=family)
    left = trial.left_behind()
    again = run_flow(trial)
    end(killed.orphans)  # as a rule they ended before: the next run waits for them
    after = trial.faults() if again.completed else Faults()
    result = {
        "killed": killed.killed,
        "family": family,
        "after": killed.lines[min(moment.line, len(killed.lines) - 1)][-100:],
        "after_s": round(moment.after_s, 3),
        "completed": again.completed,
        "left": asdict(left),
        "found": asdict(after),
        "said": [] if again.completed and not after else [*killed.lines[-5:], "---", *again.lines[-15:]],
        "seconds": round(again.times_s[-1], 1) if again.times_s else None,
    }
    return result, again if again.completed else usual


def draw_moment(usual: Run, rng: np.random.Generator) -> Moment:
    """Return a random moment of a random part of a run, from its first line to its last."""
    lengths = np.diff(usual.times_s)
    part = int(rng.choice(np.flatnonzero(lengths >= SHORTEST_PART_S)))
    return Moment(part, float(rng.uniform(0, lengths[part])))


def run_flow(trial: Trial, moment: Moment | None = None, *, family: bool = False) -> Run:
    """Run a trial's flow in its project, and kill it at a moment, if one is given."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"flows.{trial.flow}"],
        cwd=trial.project,
        env={**trial.env, "OFFBEAT_ROOT": str(trial.project), "PYTHONPATH": str(trial.project / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killer = Killer(process, family)
    lines: list[str] = []
    times: list[float] = []
    timers = [threading.Timer(LONGEST_RUN_S, kill_tree, [process])]
    timers[0].start()
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if not (lines or BEGINS in line):
                continue  # while it imports, it has not begun
            lines.append(line.rstrip())
            times.append(time.monotonic())
            if moment is not None and len(lines) == moment.line + 1:
                timers.append(threading.Timer(moment.after_s, killer, [lines]))
                timers[-1].start()
    process.wait()
    for timer in timers:
        timer.cancel()
        timer.join()
    completed = process.returncode == 0 and any(ENDS in line for line in lines)
    return Run(tuple(lines), tuple(one - times[0] for one in times), killer.in_mid_run, completed, killer.orphans)


class Killer:
    """Kills a run, with all that it started or alone, and knows whether it came before the run's end."""

    def __init__(self, process: subprocess.Popen[str], family: bool) -> None:
        self.process, self.family = process, family
        self.in_mid_run = False
        self.orphans: tuple[psutil.Process, ...] = ()

    def __call__(self, lines: Sequence[str]) -> None:
        """Kill it now; `lines` is what it said so far."""
        if self.process.poll() is not None:
            return
        self.in_mid_run = not any(ENDS in line and "Flow run" in line for line in lines)
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        if self.family:
            end(started)
        else:
            self.orphans = tuple(started)


def end(processes: Sequence[psutil.Process]) -> None:
    """Kill processes that still run, and what they started."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for one in (*process.children(recursive=True), process):
                with suppress(psutil.NoSuchProcess):
                    one.kill()


def is_bad(result: Mapping[str, Any]) -> bool:
    """Whether something was lost, doubled, half-written or otherwise wrong, or the next run did not complete."""
    return not result["completed"] or any(map(any, (result["left"].values(), result["found"].values())))


def summary(result: Mapping[str, Any]) -> str:
    """Return a round in one line."""
    how = "killed with all it started" if result["family"] else "killed alone"
    outcome = (
        "ends before the kill" if not result["killed"] else f"{how} {result['after_s']} s after {result['after']!r}"
    )
    if not is_bad(result):
        return f"{outcome}; all well after {result['seconds']} s"
    wrong = {key: result[key] for key in ("completed", "left", "found", "said")}
    return f"{outcome}; WRONG: {json.dumps(wrong, indent=1)}"


def read_results(out: Path) -> list[dict[str, Any]]:
    """Return the results so far."""
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the counts of each flow as a Markdown table."""
    heads = ("flow", "rounds", "killed in mid-run", "completed next", "lost", "doubled", "half-written", "other")
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for flow in dict.fromkeys(one["flow"] for one in results):
        of_flow = [one for one in results if one["flow"] == flow]
        counts = [len(of_flow), *(sum(bool(one[key]) for one in of_flow) for key in ("killed", "completed"))]
        for kind in ("lost", "doubled", "half_written", "other"):
            found = [one[when][kind] for one in of_flow for when in ("left", "found")]
            counts.append(sum(n if isinstance(n, int) else len(n) for n in found))
        lines.append(f"| {flow} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
