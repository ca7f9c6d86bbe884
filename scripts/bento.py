"""Pack the champion, and the part of offbeat that scores, into bento/: a Bento with its model, and `bento/serve`.

The packed folder needs the environment .venv-service (requirements-service.lock) and nothing else: no network, no
project. It takes the place of an earlier one in one step.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from offbeat.errors import ModelError, OffbeatError
from offbeat.files import new_directory
from offbeat.pages import PACKED_PLOTLY, plotly_script
from offbeat.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
PACKED = ("detection", "pages", "readings", "serving")  # wings; of readings what needs pandas stays unused
MODULES = ("__init__", "errors", "files", "params", "progress", "registry", "service", "typing")
SERVE = """#!/usr/bin/env bash
# Serve this package. PYTHON is that of an environment with requirements-service.lock; by default the one beside this
# folder, else the one on the path.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
beside="$here/../.venv-service/bin/python"
python="${PYTHON:-$([ -x "$beside" ] && echo "$beside" || command -v python3)}"
export BENTOML_DO_NOT_TRACK=true ORT_DISABLE_TELEMETRY=1 DO_NOT_TRACK=1
if [ -n "${OFFBEAT_REGISTRY:-}" ]; then  # the workers stand elsewhere
    case "$OFFBEAT_REGISTRY" in /*) ;; *) export OFFBEAT_REGISTRY="$PWD/$OFFBEAT_REGISTRY" ;; esac
fi
export OTEL_SDK_DISABLED="${OTEL_SDK_DISABLED:-true}"  # traces, which nobody gets here, cost time
# where the workers count, by the number of this process; what ended ones left goes
counts="${TMPDIR:-/tmp}/offbeat-service-$(id -u)"
for old in "$counts".*; do kill -0 "${old##*.}" 2>/dev/null || rm -rf "$old"; done
export BENTOML_HOME="${BENTOML_HOME:-$counts.$$}"
mkdir -p "$BENTOML_HOME"
exec "$python" -m bentoml serve "$here" --host "${OFFBEAT_HOST:-127.0.0.1}" --port "${OFFBEAT_PORT:-3000}" \\
    --timeout-graceful-shutdown 8
"""


def main() -> int:
    """Pack, and say where."""
    try:
        model = Registry(ROOT / "registry").champion()
        if model is None:
            raise ModelError("there is no champion to pack: make run, or offbeat promote a model")
        model.load_fleet()
    except OffbeatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        gather(source, model.directory)
        tag = build(source, Path(scratch) / "store")
        name, _, version = tag.partition(":")
        with new_directory(ROOT / "bento") as place:
            shutil.copytree(Path(scratch) / "store" / "bentos" / name / version, place, dirs_exist_ok=True)
            (place / "serve").write_text(SERVE, encoding="utf-8")
            (place / "serve").chmod(0o755)
            shutil.copyfile(ROOT / "requirements-service.lock", place / "requirements-service.lock")
            place.chmod(0o755)  # whoever serves need not be who packed
    print(f"bento/: model {model.version}, as {tag}; start it: bento/serve, or make serve")
    return 0


def gather(source: Path, model: Path) -> None:
    """Bring together what is packed: bentofile.yaml, the modules and the model."""
    package = source / "offbeat"
    package.mkdir(parents=True)
    for wing in PACKED:
        shutil.copytree(ROOT / "src/offbeat" / wing, package / wing, ignore=shutil.ignore_patterns("__pycache__"))
    for module in MODULES:
        shutil.copyfile(ROOT / "src/offbeat" / f"{module}.py", package / f"{module}.py")
    # Plotly's code for browsers alone, and compressed once: the service's environment has no Plotly
    (package / "pages" / PACKED_PLOTLY).write_bytes(gzip.compress(plotly_script().read_bytes(), 9, mtime=0))
    shutil.copytree(model, source / "model")
    shutil.copyfile(ROOT / "bentofile.yaml", source / "bentofile.yaml")
    shutil.copyfile(ROOT / "requirements-service.lock", source / "requirements-service.lock")


def build(source: Path, store: Path) -> str:
    """Build the Bento; return its tag."""
    python = ROOT / ".venv-service/bin/python"
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # BentoML asks for uv
    env = {**os.environ, "BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "true", "PATH": tools}
    command = [str(python), "-m", "bentoml", "build", str(source), "--output", "tag"]
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bentoml build ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1].removeprefix("__tag__:")


if __name__ == "__main__":
    sys.exit(main())
