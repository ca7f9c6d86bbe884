"""The page's files as any client gets them: fixed addresses, headers that keep a browser inside, no token, no data."""

import gzip
import re

import pytest
from serving_stack import ask, stack

from offbeat.pages import part
from offbeat.serving import page as page_module
from offbeat.serving.page import FILES, PAGE_PATHS, PLOTLY, TEXTS, PageFiles
from offbeat.serving.requests import Limits


@pytest.fixture
def app(current):
    return stack(current)


def addresses(index):
    return re.findall(r'(?:src|href|data-plotly)="(page/[^"]+)"', index)


def test_the_page_names_every_file_and_each_is_there(app):
    index = ask(app, "GET", "/").text
    assert {f"/{address.partition('?')[0]}" for address in addresses(index)} == set(FILES)
    assert all(ask(app, "GET", f"/{address}").status_code == 200 for address in addresses(index))
    assert "{{" not in index


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_a_browser_takes_nothing_from_elsewhere_and_guesses_no_type(app, path):
    headers = ask(app, "GET", path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    ending = {"css": "text/css", "js": "text/javascript"}.get(path.rpartition(".")[2], "text/html")
    assert headers["content-type"] == f"{ending}; charset=utf-8"


@pytest.mark.parametrize("name", ["service.html", *TEXTS.values()])
def test_no_file_names_another_place(name):
    assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", part(name))) <= {"http://www.w3.org"}  # an icon's name space


def test_a_file_is_kept_for_long_under_an_address_that_changes_with_it(app):
    index = ask(app, "GET", "/")
    assert index.headers["cache-control"] == "no-cache"
    assert all(re.fullmatch(r"[\w/.]+\?v=[0-9a-f]{12}", address) for address in addresses(index.text))
    assert "immutable" in ask(app, "GET", PLOTLY).headers["cache-control"]


def test_only_the_page_itself_is_given_without_a_token(current):
    app = stack(current, token="hush")
    assert {path: ask(app, "GET", path).status_code for path in PAGE_PATHS} == dict.fromkeys(PAGE_PATHS, 200)
    for path in ("/model", "/docs.json", "/metrics", "/page", "/page/"):
        assert ask(app, "GET", path).status_code == 401
    assert not any(name in ask(app, "GET", "/").text for name in ("pump-1", "flow", "hush"))


@pytest.mark.parametrize(
    "path", ["/page/", "/page/chart.js/", "/page/..%2fapp.py", "/page/../serving/app.py", "/page/__init__.py"]
)
def test_no_other_file_can_be_asked_for(app, path):
    assert ask(app, "GET", path).status_code == 404


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_a_file_takes_get_alone(app, path):
    assert ask(app, "POST", path, content="x").status_code == 405


def test_the_page_knows_the_limits_of_a_request():
    body, _ = PageFiles(Limits(body=123, rows=45)).file("/", takes_gzip=True)
    assert b'data-rows="45" data-body="123"' in body


# --- Plotly's code ----------------------------------------------------------------------------------------------------


def test_packed_code_goes_out_as_it_is_to_those_who_unpack_it(current, monkeypatch, tmp_path):
    packed = tmp_path / "plotly.min.js.gz"
    packed.write_bytes(gzip.compress(b"draw()"))
    monkeypatch.setattr(page_module, "_plotly", lambda: packed)
    app = stack(current)
    for encodings, sent in (("gzip, br", "gzip"), ("identity", None)):
        answer = ask(app, "GET", PLOTLY, headers={"accept-encoding": encodings})
        assert (answer.content, answer.headers.get("content-encoding")) == (b"draw()", sent)
        assert answer.headers["vary"] == "accept-encoding"


def test_a_service_without_the_code_says_how_to_get_it(current, monkeypatch):
    monkeypatch.setattr(page_module, "_plotly", lambda: None)
    app = stack(current)
    assert 'data-plotly=""' in ask(app, "GET", "/").text
    answer = ask(app, "GET", PLOTLY)
    assert answer.status_code == 404
    assert "make bento" in answer.json()["error"]["message"]
