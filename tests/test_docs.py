"""The documents say what is true: commands, parameters, links."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import offbeat
from offbeat.cli import app
from offbeat.detection.detector import Detector
from offbeat.registry import Registry
from offbeat.serving.current import Served
from offbeat.serving.description import description
from offbeat.serving.refusals import CODES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands}
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_the_reference_is_what_the_code_says() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["reference"]()
    assert (ROOT / "docs" / "reference.md").read_text() == written, "run: python scripts/reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"(?:\$ |`)offbeat ([a-z]+)", text)) <= COMMANDS
    assert set(re.findall(r"(?:\$ |`)make ([a-z-]+)", text)) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_shows_every_command_but_those_of_the_pipeline() -> None:
    shown = set(re.findall(r"offbeat ([a-z]+)", (ROOT / "README.md").read_text()))
    assert COMMANDS - {"run", "simulate", "summary"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_parameter_that_a_page_names_exists(page: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, key in re.findall(r"\b(prepare|train|calibrate|evaluate)\.([a-z_0-9]+)", page.read_text()):
        assert key in params[section] or key == "run", f"{section}.{key}"
    for key in re.findall(r"`drift\.([a-z_0-9]+)`", page.read_text()):  # without the marks it may be a file
        assert key in params["drift"] or key == "json", f"drift.{key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_holds_a_mark_that_a_value_was_to_replace(page: Path) -> None:
    assert "@@" not in page.read_text()


def test_the_page_of_the_service_names_every_error_and_every_setting() -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    for code, (status, _) in CODES.items():
        assert re.search(rf"^\| {status} \|.*`{code}`", page, flags=re.MULTILINE), code
    code = (ROOT / "src/offbeat/service.py").read_text() + (ROOT / "scripts/bento.py").read_text()
    for name in set(re.findall(r"OFFBEAT_[A-Z_]+", code)):
        assert f"`{name}`" in page, name


def test_the_python_page_holds_the_docstrings_of_every_public_name() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "reference.py"))
    assert (ROOT / "docs" / "python.md").read_text() == script["python_api"](), "run: python scripts/reference.py"
    assert {f"offbeat.{name}" for name in offbeat.__all__} <= set(script["NAMES"])


def test_the_page_of_the_service_shows_what_docs_json_describes(
    make_detector: Callable[[], Detector], tmp_path: Path
) -> None:
    make_detector().save(tmp_path / "saved")
    registry = Registry(tmp_path / "registry")
    document = description(Served.load(registry.register(tmp_path / "saved", {})))
    page = (ROOT / "docs" / "service.md").read_text()
    for path, methods in document["paths"].items():
        for method in methods:
            assert re.search(rf"^`{method.upper()} {path}[`?]", page, flags=re.MULTILINE), path
    schemas = document["components"]["schemas"]
    request, answer = map(json.loads, re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL))
    assert set(request) == set(schemas["Request"]["properties"])
    assert set(answer) == set(schemas["Answer"]["properties"])
    assert set(answer["events"][0]) == set(schemas["Answer"]["properties"]["events"]["items"]["properties"])
    error = schemas["Error"]["properties"]["error"]["properties"]
    assert set(re.findall(r'"(\w+)": ', page.split("## Errors")[1].split("\n\n")[1])) == {"error", *error}
