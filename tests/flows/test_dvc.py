"""DVC as the flows find it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_dvc_is_found_where_prefect_puts_the_folder_of_flows_first() -> None:
    places = [str(ROOT / "flows"), str(ROOT)]
    code = f"import sys; sys.path[:0] = {places}; import flows.dvc; from dvc import schema"
    subprocess.run([sys.executable, "-c", code], check=True)
