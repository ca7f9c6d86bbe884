"""The evaluation page in a browser: it asks for nothing, shows names as text, follows clicks, keys and links."""

import re
import runpy
from pathlib import Path

import pytest
from evaluated import evaluated_of, humming, with_fault

from offbeat.evaluation.report import write_report
from offbeat.models.classical import moving_average_graph
from offbeat.readings.features import feature_names

ROOT = Path(__file__).resolve().parents[2]
FAULT, ALARM, MISSED = (336, 346), (362, 368), (390, 394)
NAME = "</script><img src=x onerror=alert(1)> & 'é' \"漢字 имя\" ${x} %{y} <b>" + "x" * 150
CHANNEL = "<b>flow</b> & <a href='x'>m³/h</a> %{y} \"漢\""


@pytest.fixture(scope="module")
def write_page(tmp_path_factory):
    """Write the page of some series, and return its address."""

    def write(series, **more):
        page = tmp_path_factory.mktemp("page") / "report.html"
        graph = moving_average_graph(8, series[0].n_channels)
        write_report(page, evaluated_of(graph, series, **more))
        return page.as_uri()

    return write


@pytest.fixture(scope="module")
def address(write_page):
    """Page of two machines: the name of one is markup, one of its faults is found; of the other nothing is labelled."""
    channels = (CHANNEL, "speed", "temp")
    first = with_fault(with_fault(humming(NAME, 0, channels=channels), *FAULT), *ALARM)
    labels = [(NAME, *FAULT), (NAME, *MISSED)]
    return write_page(
        [first, humming("pump-2", 2, channels=channels)], labels=labels, doubts=["<b>random</b> is close"]
    )


def looked_at(open_page, address, **how):
    """Open the page and go down to the asset."""
    page = open_page(address, **how)
    page.locator("#asset").scroll_into_view_if_needed()
    page.wait_for_selector("html[data-ready=pictures]", state="attached")
    return page


def range_of(page):
    return page.evaluate("document.querySelector('#timeline .chart').layout.xaxis.range.map(Number)")


def test_the_page_asks_for_nothing_and_complains_of_nothing(open_page, address):
    page = looked_at(open_page, address)
    page.locator("#loss").scroll_into_view_if_needed()
    page.wait_for_selector("#loss .chart svg")
    assert page.requests == [address]
    assert page.complaints == []
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0


def test_the_words_stand_there_before_any_picture(open_page, address):
    page = open_page(address, height=300)
    page.wait_for_selector("html[data-ready=words]", state="attached")
    assert page.locator("#result").inner_text().startswith("1 of 2 labelled events found, with ")
    assert page.evaluate("typeof Plotly") == "undefined"


def test_a_name_shows_as_text_wherever_it_stands(open_page, address):
    page = looked_at(open_page, address)
    assert page.locator("#asset-title").inner_text() == NAME
    assert page.locator("#assets a").first.inner_text() == NAME
    assert page.locator("#doubts li").inner_text() == "<b>random</b> is close"
    assert page.locator("main img, #timeline a, main b:not(svg b)").count() == 0
    titles = page.locator("#timeline .annotation-text").all_text_contents()
    assert any(title.startswith("<b>flow</b> & <a href='x'>") for title in titles)
    assert page.evaluate("document.documentElement.scrollWidth") == 1400


def test_a_click_on_an_alarm_shows_each_channels_share_reading_and_expectation(open_page, address):
    page = looked_at(open_page, address)
    chart = page.locator("#timeline .chart")
    chart.scroll_into_view_if_needed()
    bars = page.locator("#timeline .barlayer .trace").first.locator(".point path")  # the lane of alarms
    texts = page.evaluate("document.querySelector('#timeline .chart').data[0].text")
    found = next(k for k, text in enumerate(texts) if text.startswith("on a labelled event"))
    box = bars.nth(found).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#place .chart svg")
    shares = page.locator("#place ul.shares li").first.inner_text()
    assert shares.startswith(CHANNEL)
    names = page.evaluate("document.querySelector('#place .chart').data.map((trace) => trace.name)")
    assert names.count("expected") == 3
    assert "place=" in page.url


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("clicked", ["#timeline", "#places"])
def test_what_a_click_opens_is_in_sight_and_has_the_focus(open_page, address, clicked, width):
    page = looked_at(open_page, address, width=width)
    part = page.locator(f"{clicked} {'.barlayer .trace .point path' if clicked == '#timeline' else 'button'}").first
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(
        "() => { const box = document.querySelector('#place h3').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= innerHeight }"
    )
    assert page.evaluate("document.activeElement.id") == "place"


def test_the_full_name_of_each_channel_stands_above_its_shares(open_page, address):
    page = looked_at(open_page, address, width=390)
    names = page.evaluate(
        "document.querySelector('#timeline .chart').layout.annotations"
        ".filter((one) => one.yref === 'y3').map((one) => one.text)"
    )
    assert names[1:] == ["speed", "temp"]
    assert names[0].startswith("&lt;b&gt;flow")
    assert page.locator("#timeline .ytick text").all_text_contents() == ["labelled", "alarms"]


def test_without_scripts_the_page_says_so_first(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address)
        assert page.locator("main > *").first.inner_text().startswith("The words, figures and pictures")


def test_the_mouse_the_keys_and_the_buttons_zoom(open_page, address):
    page = looked_at(open_page, address)
    whole = range_of(page)
    chart = page.locator("#timeline .chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 155, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "(width) => { const r = document.querySelector('#timeline .chart').layout.xaxis.range.map(Number);"
        " return r[1] - r[0] < 0.3 * width }",
        arg=whole[1] - whole[0],
    )
    chart.focus()
    page.keyboard.press("0")
    assert range_of(page) == whole
    page.keyboard.press("+")
    zoomed = range_of(page)
    assert zoomed[1] - zoomed[0] == pytest.approx((whole[1] - whole[0]) / 2)
    page.keyboard.press("ArrowRight")
    assert range_of(page)[0] > zoomed[0]
    page.get_by_role("button", name="Show the whole span").first.click()
    assert range_of(page) == whole


def test_missed_events_and_false_alarms_lead_to_their_place(open_page, address):
    page = open_page(address)
    page.locator("#wrong a").first.click()
    page.wait_for_selector("#place h3")
    assert page.locator("#place h3").first.inner_text().startswith("Missed event of 2026-01-07")
    first, last = range_of(page)
    assert last - first < 200 * 600_000
    page.locator("#places button.is-false").first.click()
    assert page.locator("#place h3").first.inner_text().startswith("Alarm of ")
    assert page.locator("#places button[aria-pressed=true]").get_attribute("class") == "is-false"


def test_an_alarm_can_be_opened_with_the_keyboard_alone_and_the_focus_is_seen(open_page, address):
    page = looked_at(open_page, address)
    button = page.locator("#places button").first
    button.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#place .chart svg")


def test_a_link_opens_its_asset_and_the_list_finds_it(open_page, address):
    page = open_page(f"{address}#asset=pump-2")
    page.wait_for_selector("html[data-ready=pictures]", state="attached")
    assert page.locator("#asset-title").inner_text() == "pump-2"
    assert "No event is labelled" in page.locator("#asset-words").inner_text()
    page.locator("#search").fill("PUMP")
    assert page.locator("#assets tbody tr:visible").count() == 1
    page.locator("#search").fill("nowhere")
    assert page.locator("#none-found").is_visible()
    page.locator("#before").click()
    page.wait_for_function("(name) => document.getElementById('asset-title').textContent === name", arg=NAME)


def test_a_link_to_an_unknown_asset_says_so_and_opens_no_alarm_of_another(open_page, address):
    page = open_page(f"{address}#asset=nope&place=1")
    page.wait_for_selector("html[data-ready=pictures]", state="attached")
    assert "no asset of that name on this page" in page.locator("#unknown").inner_text()
    assert "nope" in page.locator("#unknown").inner_text()
    assert page.locator("#place h3").count() == 0
    page.locator("#after").click()
    page.wait_for_function("document.getElementById('asset-title').textContent === 'pump-2'")
    assert not page.locator("#unknown").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling_in_either_light(open_page, address, scheme):
    page = looked_at(open_page, address, width=390, scheme=scheme)
    page.locator("#places button").first.click()
    page.wait_for_selector("#place .chart svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert (int(re.findall(r"\d+", ink)[0]) > 128) == (scheme == "dark")


def test_the_pictures_follow_a_change_from_light_to_dark(open_page, address):
    page = looked_at(open_page, address)
    line = "document.querySelector('#timeline .chart').data.find((trace) => trace.name === 'score').line.color"
    before = page.evaluate(line)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(before) => {line} !== before", arg=before)


# --- what is missing --------------------------------------------------------------------------------------------------


def test_a_single_numbered_channel_with_holes_and_without_labels_or_training_is_drawn(open_page, write_page):
    series = humming("only", 1, channels=("x",), timed=False, missing=0.1, gaps=[(50, 90), (200, 204)])
    series = with_fault(series, 320, 326)
    page = looked_at(open_page, write_page([series], epochs=[], doubts=[]))
    assert "nobody can say what it finds" in page.locator("#result").inner_text()
    assert "UTC" not in page.locator("footer").inner_text()
    assert "Nothing in the figures calls for doubt" in page.locator("#doubts").inner_text()
    words = page.locator("#asset-words").inner_text()
    assert "with 1 long gap" in words
    assert "readings missing" in words
    assert "without a score" in words
    assert "no precision and no recall" in page.locator("#figures").inner_text()
    assert "the one in use" not in page.locator("#figures").inner_text()
    assert page.locator("#timeline .ytick text").all_text_contents() == ["alarms"]
    page.locator("#loss").scroll_into_view_if_needed()
    page.wait_for_selector("#loss .message")
    page.locator("#filter").select_option("all")
    page.locator("#places button").first.click()
    page.wait_for_selector("#place .chart svg")


def test_an_alarm_of_features_of_raw_snapshots_shows_their_bands(open_page, write_page):
    channels = tuple(feature_names(["drive"], [(0, 1000), (1000, 5000)]))
    series = with_fault(humming("bearing", 1, channels=channels), *FAULT)
    page = looked_at(open_page, write_page([series], labels=[("bearing", *FAULT)]))
    page.locator("#places button.is-alarm").first.click()
    page.wait_for_selector("#place .chart .barlayer")
    assert "Spectrum" in page.locator("#place").inner_text()
    names = page.evaluate("[...document.querySelectorAll('#place .chart')].at(-1).data[0].x")
    assert names == ["0–1,000 Hz", "1,000–5,000 Hz"]


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_fifty_assets_of_a_hundred_thousand_timesteps_make_fewer_than_15_mb(open_page, tmp_path):
    large = runpy.run_path(str(ROOT / "benchmarks" / "pages.py"))
    page = tmp_path / "report.html"
    write_report(page, large["evaluate"](large["large_fleet"](50, 100_000, 8)))
    assert page.stat().st_size < 15e6
    tab = looked_at(open_page, page.as_uri())
    assert "no extreme is left out" in tab.locator("#asset-words").inner_text()
    assert tab.evaluate("document.querySelector('#timeline .chart').data.length") > 8
