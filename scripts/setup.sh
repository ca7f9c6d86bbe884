#!/usr/bin/env bash
# Fill an environment from a lock file, with uv where it is installed, else with venv and pip:
#   scripts/setup.sh .venv requirements.lock --editable    all of it, and offbeat itself
#   scripts/setup.sh .venv-service requirements-service.lock --lean    nothing that only installs
set -euo pipefail
cd "$(dirname "$0")/.."
place="$1" lock="$2" kind="$3"
PATH="${PATH//"$PWD/.venv/bin:"/}"  # of this machine, not what an earlier run installed

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

python=""
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if suits "$candidate"; then python="$candidate"; break; fi
done
if [ -z "$python" ]; then
    echo "error: offbeat needs Python 3.11, 3.12 or 3.13 on the path (or PYTHON=/path/to/python make ...)" >&2
    exit 1
fi

if [ "$kind" = --lean ] || [ ! -e "$place/pyvenv.cfg" ] || ! suits "$place/bin/python"; then
    rm -rf "$place"
    if command -v uv >/dev/null; then uv venv --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" "$place"
    else "$python" -m venv "$place"; fi
fi

export VIRTUAL_ENV="$PWD/$place"
if command -v uv >/dev/null; then
    # without byte code, every import of TensorFlow compiles it again where PYTHONDONTWRITEBYTECODE is set
    uv pip install --quiet --require-hashes --compile-bytecode -r "$lock"
    if [ "$kind" = --editable ]; then uv pip install --quiet --no-deps --no-build-isolation --editable .; fi
else
    pip() { "$place/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
    # the lock file is whole; resolved once more, an older pip takes `sqlalchemy[asyncio]` for a second, unpinned package
    pip --no-deps --require-hashes -r "$lock"
    if [ "$kind" = --editable ]; then pip --no-deps --no-build-isolation --editable .; fi
    if [ "$kind" = --lean ]; then "$place/bin/python" -m pip uninstall --quiet --yes setuptools pip; fi
fi
