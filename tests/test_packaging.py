"""What an installation takes: pinned, hashed, from anywhere, and nothing that is known to break."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
REQUIREMENTS = [text for text in re.split(r"\n(?=\S)", LOCK) if not text.startswith("#")]  # with continued lines
VERSIONS = {re.split(r"[=\[]", text)[0]: re.search(r"==([\d.]+)", text)[1] for text in REQUIREMENTS}
CAPS = {  # the first version that is known not to work, or not known to
    "pandas": (3,),
    "numpy": (2, 5),
    "tensorflow": (2, 22),
    "fastapi": (0, 151),
    "sqlalchemy": (2, 1),
}


def declared() -> list[str]:
    """Return every requirement of the project and of its extras."""
    project = tomllib.loads(PROJECT)["project"]
    return [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]


@pytest.mark.parametrize("place", ["http:", "https:", "--index-url", "--extra-index-url", "--find-links"])
def test_the_lock_names_no_place_to_install_from(place: str) -> None:
    assert place not in LOCK


def test_every_requirement_of_the_lock_is_pinned_and_has_hashes() -> None:
    assert len(REQUIREMENTS) > 20
    for requirement in REQUIREMENTS:
        assert re.match(r"\S+==\S+", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement), requirement.splitlines()[0]


def test_every_direct_requirement_stands_in_the_lock() -> None:
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in declared()} - {"offbeat"}
    assert names <= VERSIONS.keys()


@pytest.mark.parametrize("name", CAPS)
def test_a_version_that_breaks_is_kept_out_of_project_and_lock(name: str) -> None:
    cap = ".".join(map(str, CAPS[name]))
    requirements = [one for one in declared() if re.match(rf"{name}\b", one)]
    assert requirements
    assert all(f"<{cap}" in one.split(",") or one.endswith(f",<{cap}") for one in requirements)
    assert tuple(map(int, VERSIONS[name].split("."))) < CAPS[name]


@pytest.mark.parametrize("name", CAPS)
def test_every_cap_says_why(name: str) -> None:
    assert re.search(rf'^    "{name}(\[\w+\])?>=[^"]*<[^"]*", +# \w.*$', PROJECT, flags=re.MULTILINE)
