#!/usr/bin/env bash
# Fill .venv from the lock file: with uv where it is installed, else with venv and pip.
set -euo pipefail
cd "$(dirname "$0")/.."

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

python=""
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if suits "$candidate"; then python="$candidate"; break; fi
done
if [ -z "$python" ]; then
    echo "error: offbeat needs Python 3.11, 3.12 or 3.13 on the path (or PYTHON=/path/to/python make ...)" >&2
    exit 1
fi

if [ ! -e .venv/pyvenv.cfg ] || ! suits .venv/bin/python; then
    rm -rf .venv
    if command -v uv >/dev/null; then uv venv --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" .venv
    else "$python" -m venv .venv; fi
fi

export VIRTUAL_ENV="$PWD/.venv"
if command -v uv >/dev/null; then
    # without byte code, every import of TensorFlow compiles it again where PYTHONDONTWRITEBYTECODE is set
    uv pip install --quiet --require-hashes --compile-bytecode -r requirements.lock
    uv pip install --quiet --no-deps --no-build-isolation --editable .
else
    # the lock file is whole; resolved once more, an older pip takes `sqlalchemy[asyncio]` for a second, unpinned package
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
