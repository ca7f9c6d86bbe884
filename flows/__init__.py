"""When and where: thin Prefect flows around the functions of offbeat."""

import os
import sys
from pathlib import Path

# Prefect puts the folder of a flow first on the path, where dvc.py would hide the package of that name
sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]
# before Prefect and DVC load: no telemetry, however a flow is started
for name, value in (("PREFECT_SERVER_ANALYTICS_ENABLED", "false"), ("DO_NOT_TRACK", "1"), ("DVC_NO_ANALYTICS", "1")):
    os.environ.setdefault(name, value)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # nor that a machine has no GPU
