"""Evidently's pages and history: they say what the check says, and hold whatever Evidently itself would not bear."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offbeat.drift.check import Drift
from offbeat.drift.figures import Compared
from offbeat.drift.page import MOST_COLUMNS, _oldest, comparable, headline, write_pages
from offbeat.drift.verdict import AssetDrift

NAN, CHROMIUM = np.nan, Path("/usr/bin/chromium")
WILD = "<script>alert('x')</script> & \"ж\""


@pytest.fixture
def regime(verdict_on: Callable[..., Drift]) -> Drift:
    def change(values: np.ndarray) -> None:
        values += [2.0, 30.0, 1.0]

    return verdict_on(change)


def snapshots(folder: Path) -> list[Path]:
    return sorted((folder / "workspace").rglob("snapshots/*.json"))


def test_a_check_leaves_json_a_page_and_a_line_in_the_history(regime: Drift, tmp_path: Path) -> None:
    pages = write_pages(regime, tmp_path, {"version": "3"})
    assert pages == [tmp_path / "pages" / "m-0.html"]  # the others are as they were
    content = json.loads((tmp_path / "drift.json").read_text())
    assert (content["verdict"], content["retrain"], content["model"]) == ("regime", True, {"version": "3"})
    page = pages[0].read_text()
    assert "<h1>m-0: the regime changed</h1>" in page
    assert "3 of 3 channels moved together and stayed" in page
    [snapshot] = snapshots(tmp_path)
    assert "the regime changed" in snapshot.read_text()
    write_pages(regime, tmp_path, {})
    assert len(snapshots(tmp_path)) == 2
    assert len(list((tmp_path / "workspace").glob("*/metadata.json"))) == 1


def test_evidently_says_of_each_column_what_the_check_says(regime: Drift, tmp_path: Path) -> None:
    write_pages(regime, tmp_path, {})
    stored = json.loads(snapshots(tmp_path)[0].read_text())
    values = {
        one["display_name"].removeprefix("Value drift for "): one["value"] for one in stored["metric_results"].values()
    }
    for channel in regime.assets[0].channels:
        for name, figure in channel.figures.items():
            if figure.move == figure.move:
                assert values[f"{channel.channel}: {name}"] == pytest.approx(abs(figure.move), rel=1e-6)


def test_a_quiet_fleet_gets_the_page_of_the_machine_that_moved_most(
    verdict_on: Callable[..., Drift], tmp_path: Path
) -> None:
    drift = verdict_on(lambda _: None)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "gone.html").touch()
    most = max(drift.assets, key=lambda one: one.largest[0])
    assert write_pages(drift, tmp_path, {}) == [tmp_path / "pages" / f"{most.asset}.html"]
    assert not (tmp_path / "pages" / "gone.html").exists()


def test_columns_on_which_evidently_raises_or_keeps_silent_are_left_out(regime: Drift, tmp_path: Path) -> None:
    reference = np.array([[0.0, NAN, 0.0, 0.0], [0.1, NAN, NAN, 0.1], [0.2, NAN, NAN, 0.3]])
    current = np.array([[0.5, 1.0, 1.0, NAN]])
    compared = Compared(("good", "no reference", "one row of reference", "nothing now"), reference, current)
    assert comparable(compared) == [0]
    [one, *_] = regime.assets
    drift = Drift("regime", (one,), {one.asset: compared})
    assert write_pages(drift, tmp_path, {}) == [tmp_path / "pages" / "m-0.html"]
    nothing = replace(compared, current=np.full((1, 4), NAN))
    for without in ({one.asset: nothing}, {}):
        [page] = write_pages(Drift("regime", (one,), without), tmp_path, {})
        assert "<h1>m-0: the regime changed</h1>" in page.read_text()
        assert "Below, each value" not in page.read_text()


def test_a_machine_that_could_not_be_compared_has_its_page_and_the_history_the_checks_verdict(
    regime: Drift, tmp_path: Path
) -> None:
    empty = AssetDrift("m-9", "recording", ("m-9.csv is <empty>",))
    healthy = replace(regime.assets[0], verdict="none", reasons=())
    drift = Drift("recording", (healthy, empty), {"m-0": regime.compared["m-0"]})
    [page] = write_pages(drift, tmp_path, {})
    assert "m-9.csv is &lt;empty&gt;" in page.read_text()
    [snapshot] = [json.loads(path.read_text()) for path in snapshots(tmp_path)]
    assert snapshot["name"] == "readings are recorded otherwise: m-9 (2 machines checked; figures of m-0)"
    assert snapshot["tags"] == ["m-0", "recording"]
    assert snapshot["metadata"] == {
        "verdict": "readings are recorded otherwise",
        "reason": "readings are recorded otherwise: m-9.csv is ‹empty›",
    }


def test_a_check_in_which_nothing_could_be_compared_is_kept_too(tmp_path: Path) -> None:
    drift = Drift("recording", (AssetDrift("m-9", "recording", ("m-9.csv is empty",)),), {})
    write_pages(drift, tmp_path, {})
    [snapshot] = [json.loads(path.read_text()) for path in snapshots(tmp_path)]
    assert snapshot["name"] == "readings are recorded otherwise: m-9 (1 machine checked)"


def test_a_page_shows_the_columns_that_moved_most(regime: Drift, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"channel {k}" for k in range(60))
    compared = Compared(names, rng.standard_normal((30, 60)), np.arange(60.0) + np.zeros((3, 1)))
    drift = replace(regime, compared={"m-0": compared})
    [page] = write_pages(drift, tmp_path, {})
    assert "channel 59" in page.read_text()
    assert comparable(compared)[:MOST_COLUMNS] == list(range(59, 59 - MOST_COLUMNS, -1))


def test_names_with_markup_are_text(regime: Drift, tmp_path: Path) -> None:
    one = replace(regime.assets[0], asset="m-0", reasons=(f"{WILD} moved",))
    compared = regime.compared["m-0"]
    wild = replace(compared, names=tuple(f"{WILD}{name}" for name in compared.names))
    [page] = write_pages(Drift("regime", (one,), {"m-0": wild}), tmp_path, {})
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "ж" in text


def test_a_machine_without_a_period_has_a_headline() -> None:
    assert "pump &lt;1&gt;: too few readings to tell" in headline(AssetDrift("pump <1>", "unknown", ("nothing",)))


def test_the_history_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.drift.page.MOST_KEPT", 2)
    assert _oldest(["c", "a", "d", "b"]) == ["a", "b"]
    assert _oldest(["a"]) == []


def test_a_page_draws_itself_without_asking_anybody(regime: Drift, tmp_path: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    [page] = write_pages(regime, tmp_path, {})
    asked: list[str] = []
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        tab.goto(page.as_uri())
        tab.wait_for_selector(".js-plotly-plot", timeout=60_000)
        heading = tab.inner_text("h1")
        browser.close()
    assert heading == "m-0: the regime changed"
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []
