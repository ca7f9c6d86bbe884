"""The rules of the house, read off the source: who imports whom, what a stage depends on, what stays light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from offbeat.detection.detector import Detector
from offbeat.evaluation.report import SCRIPTS, STYLE, TEMPLATE

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "offbeat").rglob("*.py"))
}
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HEAVY = {"tensorflow", "keras", "onnx", "evidently", "bentoml", "prefect", "prefect_ray", "dvc", "ray"}

# a wing and the wings it may import; modules beside the wings are named on their own
MAY_IMPORT = {
    "readings": {"readings", "detection"},
    "detection": {"detection", "readings"},
    "models": {"models", "detection", "readings"},
    "evaluation": {"evaluation", "models", "detection", "readings"},
    "operation": {"operation", "detection", "readings"},
    "serving": {"serving", "detection", "readings"},
    "pages": {"pages"},
    "drift": {"drift", "detection", "readings"},
    "fleet": {"fleet", "drift", "evaluation", "detection", "readings"},
}
ANY_WING_MAY_IMPORT = {
    *("offbeat", "offbeat.errors", "offbeat.files", "offbeat.typing", "offbeat.params", "offbeat.tables"),
    "offbeat.progress",
}
SHARED_BY = {
    "models": {"offbeat.preparation"},
    "evaluation": {"offbeat.preparation", "offbeat.assembly", "offbeat.pages"},
    "serving": {"offbeat.registry", "offbeat.pages"},
    "fleet": {
        *(f"offbeat.{name}" for name in ("assembly", "lineage", "locks", "preparation", "reporting", "summary")),
        *("offbeat.training", "offbeat.window_choice"),
    },
}
FEW_LIBRARIES = {"readings", "detection", "operation", "serving", "drift", "fleet"}
THIRD_PARTY = {"numpy", "pandas", "sklearn", "pydantic", "pyarrow"}
EXTRA = {
    "offbeat.detection.runtime": {"onnxruntime"},
    "offbeat.readings.datasets": {"pooch"},
    "offbeat.readings.conversion": {"yaml"},
    "offbeat.readings.fleet": {"yaml"},
    "offbeat.readings.groups": {"yaml"},
    "offbeat.readings.sources": {"yaml"},
    "offbeat.readings.sql_table": {"sqlalchemy"},
    "offbeat.readings.sql_times": {"sqlalchemy"},
    "offbeat.operation.database": {"sqlalchemy"},
    "offbeat.operation.store": {"sqlalchemy"},
    "offbeat.operation.outbox": {"sqlalchemy"},
    "offbeat.operation.notification": {"httpx"},
    "offbeat.drift.moves": {"scipy"},
    "offbeat.drift.page": {"evidently"},
    "offbeat.fleet.ray_engine": {"ray"},
    "offbeat.serving.answers": {"orjson"},
    "offbeat.serving.measures": {"prometheus_client"},
    "offbeat.serving.requests": {"orjson"},
}


def type_checking_blocks(tree: ast.AST) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, inside functions too, but not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = type_checking_blocks(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the wing"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def own_imports(path: Path) -> set[str]:
    return {name for name in imports(path) if name in MODULES}


def closure(module: str) -> set[str]:
    """Return the module and every module of offbeat that it imports, directly or not, packages included."""
    found, open_ends = set(), {module}
    while open_ends:
        name = open_ends.pop()
        found.add(name)
        parents = {".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)}
        open_ends |= (own_imports(MODULES[name]) | parents) - found
    return found


def wing_of(module: str) -> str:
    """Return the folder that a module stands in, empty beside the wings."""
    parts = MODULES[module].relative_to(SOURCE / "offbeat").parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("module", [name for name in MODULES if wing_of(name) in MAY_IMPORT])
def test_a_wing_imports_only_the_wings_below_it(module: str) -> None:
    allowed = ANY_WING_MAY_IMPORT | SHARED_BY.get(wing_of(module), set())
    for name in own_imports(MODULES[module]) - allowed:
        assert wing_of(name) in MAY_IMPORT[wing_of(module)], f"{module} imports {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if wing_of(name) in FEW_LIBRARIES])
def test_what_runs_in_production_knows_few_libraries(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(MODULES[module])} - set(sys.stdlib_module_names) - {"offbeat"}
    assert outside <= THIRD_PARTY | EXTRA.get(module, set()), f"{module} imports {outside}"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_in_their_place(module: str) -> None:
    heavy = {name.split(".")[0] for name in imports(MODULES[module])} & HEAVY
    allowed = {"keras", "tensorflow", "onnx"} if wing_of(module) == "models" else set()
    allowed |= {"bentoml"} if module == "offbeat.service" else set()
    allowed |= {"evidently"} if module == "offbeat.drift.page" else set()
    allowed |= {"ray"} if module == "offbeat.fleet.ray_engine" else set()
    assert heavy <= allowed, f"{module} imports {heavy}"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("offbeat.stages")])
def test_nothing_below_imports_the_stages_but_what_stands_on_them(module: str) -> None:
    stages = {name for name in own_imports(MODULES[module]) if name.startswith("offbeat.stages")}
    assert not stages or wing_of(module) == "cli" or module == "offbeat.promotion", f"{module} imports {stages}"


def test_offbeat_never_imports_flows() -> None:
    for module, path in MODULES.items():
        assert not any(name.split(".")[0] == "flows" for name in imports(path)), module


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_arguments_of_run_are_the_params_of_the_stage(stage: str) -> None:
    signature = inspect.signature(import_module(f"offbeat.stages.{stage}").run)
    sections = [name for name in signature.parameters if name not in {"root", "report"}]
    assert sections == PIPELINE[stage]["params"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_deps_of_a_stage_name_every_module_it_imports(stage: str) -> None:
    modules = closure(f"offbeat.stages.{stage}")
    wanted = {str(MODULES[name].relative_to(ROOT)) for name in modules}
    if "offbeat.evaluation.report" in modules:
        wanted |= {f"src/offbeat/pages/{name}" for name in (TEMPLATE, STYLE, *SCRIPTS)}
    listed = {dep for dep in PIPELINE[stage]["deps"] if dep.startswith("src/")}
    assert listed == wanted, f"dvc.yaml, {stage}: add {sorted(wanted - listed)}, drop {sorted(listed - wanted)}"


def test_the_stages_are_those_of_the_command_line() -> None:
    from offbeat.cli import Stage

    assert [stage.value for stage in Stage] == list(PIPELINE)


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['offbeat', '--help']\nfrom offbeat.cli import app\ntry: app()\nexcept SystemExit: pass"
    )
    assert not loaded_by(code) & (HEAVY | {"pandas", "numpy", "sklearn", "onnxruntime", "pydantic"})


def test_scoring_loads_no_training_library(make_detector: Any, make_series: Any, tmp_path: Path) -> None:
    make_detector().save(tmp_path / "model")
    make_series(100, seed=1).to_frame().rename_axis("timestamp").to_csv(tmp_path / "pump-1.csv")
    out = tmp_path / "scores" / "scores.csv"
    out.parent.mkdir()
    arguments = ["offbeat", "score", tmp_path / "pump-1.csv", "--model", tmp_path / "model", "--out", out]
    code = (
        f"sys.argv = {[str(argument) for argument in arguments]}\nfrom offbeat.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code, stop.code"
    )
    assert not loaded_by(code) & (HEAVY | {"sklearn"})
    assert len(out.read_text().splitlines()) == 101


def test_the_package_tells_its_public_names() -> None:
    import offbeat

    names = ["Detector", "Folder", "OffbeatError", "ScoreResult", "Series", "fit", "read_folder"]
    assert sorted(offbeat.__all__) == names
    assert all(getattr(offbeat, name) is not None for name in names)


SCORE_WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pandas", "pyarrow", "sklearn", "pooch", "typer"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from offbeat.detection.detector import Detector
from offbeat.serving import app, current, description, guard
from offbeat.serving.answers import answer, to_csv
from offbeat.serving.requests import Limits, to_series

detector = Detector.load(sys.argv[1])
n = 100
stamps = np.delete(np.arange(n), [40, 41]) * detector.step
series = to_series("pump-1", stamps, np.ones((n - 2, 3)), detector.channels, detector)
result = detector.score(series)
to_csv(result)
print(len(answer(result, series, detector, {})["scores"]))
"""


def test_the_service_needs_no_pandas(make_detector: Callable[[], Detector], tmp_path: Path) -> None:
    make_detector().save(tmp_path / "model")
    command = [sys.executable, "-c", SCORE_WITHOUT, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "100\n", done.stderr
