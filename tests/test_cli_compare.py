"""`offbeat compare` as a person types it: what it prints, writes and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from offbeat.cli import app
from offbeat.errors import OffbeatError, ParamsError, ReadingsError

SMALL = (
    *("-S", "prepare.window_size=8", "-S", "train.epochs=1", "-S", "train.steps_per_epoch=4", "-S", "train.units=6"),
    *("-S", "calibrate.delay=2", "-S", "calibrate.smoothing=2", "-S", "calibrate.false_alarms_per_week=20"),
)


@pytest.fixture
def folder(tmp_path: Path, make_series) -> Path:  # type: ignore[no-untyped-def]
    """A machine that is wrong for a while near its end, with that labelled."""
    frame = make_series(700).to_frame().rename_axis("timestamp")
    frame.iloc[650:670, 0] += 9.0
    (tmp_path / "own" / "readings").mkdir(parents=True)
    frame.to_csv(tmp_path / "own" / "readings" / "pump-1.csv")
    start, end = (frame.index[row].isoformat() for row in (650, 669))
    (tmp_path / "own" / "labels.csv").write_text(f"asset,start,end,kind\npump-1,{start},{end},shift\n")
    return tmp_path / "own"


def invoke(*arguments: object) -> str:
    """Run the command in this process and return what it prints; an error is raised as it is."""
    result = CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])
    if result.exception:
        raise result.exception
    return result.output


def test_it_ranks_says_how_far_to_trust_it_and_writes_the_same_as_a_page(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "compare.md"
    printed = invoke(folder, "--with", "train.latent_size=2 train.units=3", *SMALL, "--seed", 5, "--out", out)
    page = out.read_text()
    for said in (printed, page):
        assert "1 labelled event and 114 injected ones (seed 5), best first:" in said
        assert "labelled found" in said
        assert "How far to trust this: " in said
        for name in ("params.yaml", "train.latent_size=2 train.units=3", "pca", "untrained_network", "stuck_sensor"):
            assert name in said
    assert "| # | candidate | labelled found | injected found |" in page
    assert "\n\n\n" not in page


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ([], ParamsError, "only 'params.yaml' to compare"),
        (["--with", "train.epoch=3"], ParamsError, "candidate 'train.epoch=3': .*did you mean 'epochs'"),
        (["--with", "train.units=3", "--with", "train.units=3"], ParamsError, "'train.units=3' is given twice"),
        (["--with", "missing.yaml"], ParamsError, "candidate 'missing.yaml': .*not a readable YAML file"),
        (
            ["--params", "missing.yaml", "--with", "train.units=3"],
            ParamsError,
            "missing.yaml: not a readable YAML file",
        ),
        (["--with", "prepare.max_gap=9"], ParamsError, "prepare.max_gap=9 where 'params.yaml' has 5"),
        (["--with", "train.units=3", "--out", "scores.csv"], OffbeatError, "must end in .md"),
        (["--with", "prepare.window_size=300"], ReadingsError, "candidate 'prepare.window_size=300': asset 'pump-1'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(
    folder: Path, arguments: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        invoke(folder, *arguments)


def test_the_page_is_never_written_among_the_readings(folder: Path) -> None:
    with pytest.raises(OffbeatError, match="among the readings"):
        invoke(folder, "--with", "train.units=3", "--out", folder / "compare.md")
