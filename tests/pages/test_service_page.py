"""The service's page in a browser: a dropped file gets the scores of `offbeat score`, and what is wrong gets words."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluated import PARAMS, humming, with_fault
from serving_stack import current_of, running

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.cli.detect import score
from offbeat.detection.fleet import Fleet
from offbeat.models.classical import moving_average_graph
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, read_folder
from offbeat.readings.simulate import simulate_fleet
from offbeat.serving.requests import Limits
from offbeat.serving.stamps import stamp_of

NAME = "</option><img src=x onerror=alert(1)> & 'é' \"漢字 имя\" ${x} %{y} <b>" + "x" * 150
CHANNEL = "<b>flow</b> & <a href='x'>m³/h</a> %{y} 漢"
FAULT = (336, 346)


def detector_of(folder):
    fleet = prepare_fleet(folder, PARAMS.prepare)
    graph = moving_average_graph(8, folder.series[0].n_channels)
    calibrate = PARAMS.calibrate.for_window(PARAMS.prepare.window_size)
    detector = assemble(graph, fleet[0].series, PARAMS.prepare, calibrate, {"method": "moving_average"})
    calibrate_fleet(detector, fleet)
    return detector


def csv_of(series):
    return series.to_frame().to_csv(index_label="timestamp" if series.is_time else "index", date_format="%FT%TZ")


def runs(alarms):
    """Return [start, stop) of each run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(alarms, dtype=int), [0]])))
    return edges.reshape(-1, 2).tolist()


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled fleet: folder, saved detector and address of the service."""
    place = tmp_path_factory.mktemp("bundled")
    simulate_fleet(place / "data", 7)
    detector = detector_of(read_folder(place / "data"))
    detector.save(place / "detector")
    with running(current_of(detector, place)) as address:
        yield place, f"{address}/"


@pytest.fixture(scope="module")
def odd():
    """Two machines, one of which has a name that is markup, as has a channel; a long gap is in the readings."""
    channels, gaps = (CHANNEL, "speed"), [(900, 940)]
    series = [humming(name, k, 1200, channels=channels, gaps=gaps) for k, name in enumerate([NAME, "b"])]
    return detector_of(Folder(tuple(series))), with_fault(series[0], *FAULT)


@pytest.fixture
def serve(odd, tmp_path):
    """Serve the two machines; gives the address."""
    started = []

    def serve(**settings):
        context = running(current_of(odd[0], tmp_path), **settings)
        started.append(context)
        return f"{context.__enter__()}/"

    yield serve
    for context in started:
        context.__exit__(None, None, None)


def opened(open_page, address, **how):
    page = open_page(address, **how)
    page.wait_for_selector("#ask:not([hidden])")
    return page


def choose(page, text, name="readings.csv"):
    before = page.evaluate("document.documentElement.dataset.ready || '0'")
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})
    return before


def answered(page, before="0"):
    page.wait_for_function("(before) => (document.documentElement.dataset.ready || '0') !== before", arg=before)


def scored(page, text, name="readings.csv"):
    answered(page, choose(page, text, name))


def alarms_of(page):
    """Return the first moment of each alarm that is listed."""
    return [text.partition(",")[0] for text in page.locator("#alarms button span").all_inner_texts()]


def drawn_scores(page):
    trace = "document.querySelector('#timeline .chart').data.find((one) => one.name === 'score')"
    return [value for value in page.evaluate(f"Array.from({trace}.y)") if value is not None]


def forget_refused(page):
    """The browser itself writes that an answer was an error; nothing else may stand there."""
    assert all("Failed to load resource" in one for one in page.complaints)
    page.complaints.clear()


DROP = """(text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], "pump-3.csv", { type: "text/csv" }));
  for (const kind of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


def test_a_dropped_file_gets_the_alarms_of_the_command(open_page, bundled, tmp_path):
    place, address = bundled
    file = place / "data/readings/pump-3.csv"
    score([file], place / "detector", tmp_path / "scores.csv")
    expected = pd.read_csv(tmp_path / "scores.csv", parse_dates=["timestamp"])
    page = opened(open_page, address)
    page.evaluate(DROP, file.read_text())
    answered(page)
    assert page.locator("#result-title").inner_text() == "pump-3"  # the file is named after it
    starts = expected.timestamp.iloc[[start for start, _ in runs(expected.alarm)]]
    assert alarms_of(page) == starts.dt.strftime("%Y-%m-%d %H:%M").tolist() != []
    np.testing.assert_allclose(drawn_scores(page), expected.score.dropna())
    names = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert names
    assert all(name.startswith(address) for name in names)


def test_an_alarm_opens_with_the_keyboard_alone_and_shows_its_channels(open_page, serve, odd):
    page = opened(open_page, serve())
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.insert_text(csv_of(odd[1]))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answered(page)
    assert page.evaluate("document.activeElement.id") == "result-title"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.alarm !== undefined"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = page.evaluate("document.querySelector('#timeline .chart').layout.xaxis.range.map(Number)")
    page.keyboard.press("Enter")
    channels = page.locator("#alarm ul.shares li span:first-child").all_inner_texts()
    assert {CHANNEL, "speed"} <= set(channels)
    after = page.evaluate("document.querySelector('#timeline .chart').layout.xaxis.range.map(Number)")
    assert after[1] - after[0] < before[1] - before[0]


def test_the_button_that_chooses_a_file_is_reached_and_seen_with_the_keyboard(open_page, serve):
    page = opened(open_page, serve())
    page.locator("#asset").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.evaluate("getComputedStyle(document.querySelector('#drop label')).outlineStyle") == "solid"


def test_names_show_as_text_wherever_they_stand(open_page, serve, odd):
    page = opened(open_page, serve())
    page.locator("#asset").select_option(NAME)
    scored(page, csv_of(odd[1]))
    page.locator("#alarms button").first.click()
    assert page.locator("#result-title").inner_text() == NAME
    assert NAME in page.locator("#card").inner_text()
    assert CHANNEL in page.locator("#example").text_content()
    assert any(CHANNEL[:20] in text for text in page.locator("#timeline .annotation-text").all_text_contents())
    assert page.locator("main img, main b:not(svg b), #timeline a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1400


def test_a_wrong_cell_is_named_with_its_line_and_column_and_the_next_file_is_scored(open_page, serve, odd):
    page = opened(open_page, serve())
    good = csv_of(odd[1])
    lines = good.splitlines()
    lines[5] = re.sub(r"[^,]+$", "<b>warm</b>", lines[5])
    choose(page, "\n".join(lines))
    page.wait_for_selector(".problem")
    words = page.locator(".problem").inner_text()
    assert "Line 6, column speed: '<b>warm</b>' is no number" in words
    assert lines[5] in words
    forget_refused(page)
    scored(page, good)
    assert page.locator(".problem").count() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no readings"),
        (b"PK\x03\x04\xff\xfe", "not a text in UTF-8"),
        (b"timestamp,flow\n2026-01-05,1\n", "the model knows channels"),
        (b"flow,speed\n1,2\n", "no column is called timestamp"),
    ],
)
def test_a_file_that_is_none_gets_words(open_page, serve, content, words):
    page = opened(open_page, serve())
    page.set_input_files("#file", {"name": "x.csv", "mimeType": "text/csv", "buffer": content})
    page.wait_for_selector(".problem")
    assert words in page.locator(".problem").inner_text()
    assert page.locator("#result").is_hidden()
    forget_refused(page)


def test_a_token_is_asked_for_sent_and_forgotten(open_page, serve, odd):
    page = open_page(serve(token="hush"))
    page.wait_for_selector("#locked:not([hidden])")
    assert page.locator("#ask").is_hidden()
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.insert_text("hus")
    page.keyboard.press("Enter")
    page.get_by_text("It refused the token").wait_for()
    forget_refused(page)
    page.keyboard.insert_text("hush")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask:not([hidden])")
    assert page.locator("#locked").is_hidden()
    scored(page, csv_of(odd[1]))
    with page.expect_download() as download:
        page.locator("#docs").click()
    assert "openapi" in download.value.path().read_text()
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert "hush" not in kept
    page.reload()
    page.wait_for_selector("#locked:not([hidden])")
    forget_refused(page)


def test_what_is_too_long_for_a_request_is_scored_in_parts_with_the_same_scores(open_page, serve, odd):
    detector, series = odd
    page = opened(open_page, serve(limits=Limits(rows=200)))
    page.locator("#asset").select_option(NAME)
    scored(page, csv_of(series))
    result = detector.score(series)
    listed = [f"{event.first:%Y-%m-%d %H:%M}" for event in result.events]
    assert alarms_of(page) == listed != []
    np.testing.assert_allclose(drawn_scores(page), result.scores[~np.isnan(result.scores)], atol=1e-9)
    assert len(page.requests) > 10


def test_an_asset_is_found_by_a_part_of_its_name_where_there_are_many(open_page, odd, tmp_path):
    detector, series = odd
    for k in range(30):
        detector.assets[f"fan {k}"] = detector.assets["b"]
    try:
        with running(current_of(detector, tmp_path)) as address:
            page = opened(open_page, f"{address}/")
            page.locator("#search").fill("FAN 29")
            assert page.locator("#asset option").all_text_contents() == ["fan 29"]
            scored(page, csv_of(series))
            assert page.locator("#result-title").inner_text() == "fan 29"
            page.locator("#search").fill("nowhere")
            assert "No asset has that in its name" in page.locator("#asset-words").inner_text()
    finally:
        for k in range(30):
            del detector.assets[f"fan {k}"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling_in_either_light(open_page, serve, odd, scheme):
    page = opened(open_page, serve(), width=390, scheme=scheme)
    scored(page, csv_of(odd[1]), f"{NAME}.csv".replace("/", ""))
    page.locator("#alarms button").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert (int(re.findall(r"\d+", ink)[0]) > 128) == (scheme == "dark")


THIN = """() => {
  const n = 100000, x = Array.from({ length: n }, (_, k) => k);
  const values = Float64Array.from(x, (k) => Math.sin(k / 50));
  values[12345] = 99; values[54321] = -99; values[70000] = NaN;
  const shares = x.map((k) => (k === 40000 ? [1] : null));
  const data = { scores: Array.from(values), readings: [values], gaps: [70000], shares };
  const seen = Thinning.inSight(data, x, [0, n]), near = Thinning.inSight(data, x, [12000, 13000]);
  return {
    n: seen.x.length, rises: seen.x.every((at, k) => !k || at > seen.x[k - 1]),
    most: Math.max(...seen.data.readings[0]), least: Math.min(...seen.data.scores.filter((one) => one !== null)),
    gap: seen.data.scores[seen.x.indexOf(70000)], shares: seen.data.shares.filter(Boolean).length,
    near: [near.x[0], near.x.length, near.data.readings[0][346]],
  };
}"""


def test_a_long_series_is_drawn_in_few_points_and_loses_no_extreme_and_no_gap(open_page, serve):
    seen = opened(open_page, serve()).evaluate(THIN)
    assert seen["n"] < 5000
    assert seen["rises"]
    assert (seen["most"], seen["least"], seen["gap"], seen["shares"]) == (99, -99, None, 2)
    assert seen["near"] == [11999, 1002, 99]


def test_times_are_read_as_the_service_reads_them(open_page, serve):
    texts = [
        "2026-01-05",
        "2026-01-05 00:10",
        "2026-01-05T00:10:00Z",
        "2026-01-05T02:10:00+02",
        "2026-01-04T22:40-01:30",
    ]
    texts += ["2026-01-05T00:10:00.123456Z", "2026-01-05T00:10:00,5+0100", "1969-12-31T23:59:59.999Z"]
    page = opened(open_page, serve())
    read = page.evaluate("(texts) => texts.map(Offbeat.place)", texts)
    np.testing.assert_allclose(read, [stamp_of(text) / 1e6 for text in texts], rtol=0, atol=1e-3)


def test_numbered_readings_with_semicolons_are_scored_and_drawn(open_page, tmp_path):
    series = humming("only", 1, 1200, timed=False)
    with running(current_of(detector_of(Folder((series,))), tmp_path)) as address:
        page = opened(open_page, f"{address}/")
        scored(page, csv_of(with_fault(series, *FAULT)).replace(",", ";"))
        page.locator("#alarms button").first.click()
        assert "timesteps from 7 to 1206" in page.locator("#notes").inner_text()
        assert "in 10,000 timesteps" in page.locator("#asset-words").inner_text()
        assert page.evaluate("document.querySelector('#timeline .chart').layout.xaxis.type") == "linear"


def test_what_is_wrong_in_a_later_part_is_named_by_its_line_in_the_file(open_page, serve, odd):
    page = opened(open_page, serve(limits=Limits(rows=200)))
    page.locator("#asset").select_option(NAME)
    lines = csv_of(odd[1]).splitlines()
    lines[700] = re.sub(r"[^,]+$", "warm", lines[700])
    choose(page, "\n".join(lines))
    page.wait_for_selector(".problem")
    words = page.locator(".problem").inner_text()
    assert "Line 701, column speed" in words
    assert lines[700] in words
    forget_refused(page)


# --- several groups, many machines ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Serve two groups, of which one has thousands of machines; gives the address and the model."""
    steps = [humming("meter-1", 3, 1200, channels=("level",), timed=False)]
    small, large = detector_of(Folder(tuple(steps))), detector_of(Folder((humming("pump-0000", 1, 1200),)))
    assets = {f"pump-{k:04d}": large.assets["pump-0000"] for k in range(5_000)}
    fleet = Fleet({"meters": small, "pumps": replace(large, assets=assets)})
    with running(current_of(fleet, tmp_path_factory.mktemp("many"))) as address:
        yield f"{address}/", fleet


def test_of_many_machines_some_are_listed_and_any_is_found_by_its_name(open_page, many):
    page = opened(open_page, many[0])
    assert page.locator("#asset option").count() == 200
    assert page.locator("#more-assets").inner_text() == "and 4,801 more: find one by its name"
    page.fill("#search", "pump-4321")
    assert page.locator("#asset option").all_inner_texts() == ["pump-4321"]
    assert page.locator("#more-assets").inner_text() == ""


def test_a_file_is_scored_as_the_group_of_its_machine_takes_it(open_page, many):
    page, fleet = opened(open_page, many[0]), many[1]
    assert page.locator("#example").text_content().startswith("index,level\n")  # meter-1 is the first
    series = humming("pump-4321", 5, 300)
    scored(page, csv_of(series), "pump-4321.csv")
    assert page.locator("#asset").input_value() == "pump-4321"
    assert page.locator("#example").text_content().startswith("timestamp,")
    scores = fleet.detector_of("pump-4321").score(series).scores
    np.testing.assert_allclose(drawn_scores(page), scores[~np.isnan(scores)])
    assert page.locator("#card h3").all_inner_texts() == ["meters", "pumps"]
