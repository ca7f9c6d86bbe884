# Everything runs from .venv; `make setup` fills it from the lock file and does nothing while that is unchanged.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# quiet, and no telemetry
export TF_CPP_MIN_LOG_LEVEL := 3
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export ORT_DISABLE_TELEMETRY := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export BENTOML_DO_NOT_TRACK := true
export RAY_USAGE_STATS_ENABLED := 0
# Prefect keeps its history here; `make server` shows it, and the flow that `make run` starts brings a server of its own
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180
export OFFBEAT_ROOT ?= $(CURDIR)
API := http://127.0.0.1:4200/api

.PHONY: run server worker deploy bento serve test test-all lint bench-accuracy bench-groups bench-estimate bench-fleet \
    bench-speed lock setup clean

run: setup            ## the flow retrain; on the bundled fleet, unless data/ holds something else
	@$(SHORT_LOG) python -m flows.retrain
	@offbeat summary

# at a terminal, the time and what happened
SHORT_LOG := PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT='%(asctime)s  %(message)s' \
    PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT='%(asctime)s  %(message)s' \
    PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT=%H:%M:%S

server: setup         ## Prefect's server and page, on this machine alone: http://127.0.0.1:4200
	@prefect server start --host 127.0.0.1

worker: setup         ## a worker of the pool POOL: cpu, or gpu for the train stage alone
	@PREFECT_API_URL=$${PREFECT_API_URL:-$(API)} prefect worker start --type process --pool $(POOL) $(LIMIT_$(POOL))

POOL ?= cpu
LIMIT_gpu := --limit 1

deploy: setup         ## send the deployments of prefect.yaml to the server, once both pools have a worker
	@PREFECT_API_URL=$${PREFECT_API_URL:-$(API)} prefect --no-prompt deploy --all

test: setup .venv-service/ready lint   ## style, types and every test that takes less than a minute
	@pytest

test-all: setup .venv-service/ready lint   ## the long ones too: real servers, workers and kills
	@pytest -m ""

lint: setup
	@ruff check . && ruff format --check . && mypy

bench-accuracy: setup  ## every method on the public sets in DATA; it goes on where it was stopped
	@python benchmarks/accuracy.py --data $(DATA) --seeds $(SEEDS)

bench-groups: setup    ## one model for many machines on skab in DATA, against one for each; it goes on where it was stopped
	@python benchmarks/groups.py --data $(DATA) --seeds $(SEEDS)

bench-estimate: setup  ## what `offbeat estimate` says beside what runs then take; an hour or so
	@python benchmarks/estimate.py --out artifacts/estimate.json

bench-speed: setup     ## time and memory against plain Keras, a tutorial's recipe and the machine itself; an hour or so
	@python benchmarks/speed.py --data $(DATA)

bench-fleet: setup     ## simulated fleets of 10 to 10,000 machines, step by step; hours on two cores, and 3 GB of disk in SCRATCH
	@python benchmarks/fleet.py $(if $(SCRATCH),--scratch $(SCRATCH))

DATA ?= ../shared/data
SEEDS ?= 3

bento: setup .venv-service/ready   ## pack the champion and what scores with it into bento/, for machines without all this
	@python scripts/bento.py

serve: .venv-service/ready   ## the packed service, on http://127.0.0.1:3000; it follows the champion of registry/
	@test -e bento/bento.yaml || $(MAKE) --no-print-directory bento
	@OFFBEAT_REGISTRY=$${OFFBEAT_REGISTRY-$(CURDIR)/registry} bento/serve

setup: .venv/ready    ## the environment; a few minutes the first time

.venv/ready: requirements.lock pyproject.toml scripts/setup.sh
	@echo "Setting up .venv (a few minutes the first time) ..."
	@bash scripts/setup.sh .venv requirements.lock --editable
	@touch $@

.venv-service/ready: requirements-service.lock scripts/setup.sh
	@echo "Setting up .venv-service, what the service runs in ..."
	@bash scripts/setup.sh .venv-service requirements-service.lock --lean
	@touch $@

lock:                 ## solve the dependencies anew
	uv pip compile pyproject.toml --extra train --extra pipeline --extra postgres --extra ray --group dev --universal --python-version 3.11 \
	    $(LOCKED) -o requirements.lock
	uv pip compile --group service --universal --python-version 3.11 $(LOCKED) -o requirements-service.lock

LOCKED := --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --upgrade

clean:
	rm -rf .venv .venv-service .prefect bento artifacts/prepared artifacts/model artifacts/detector artifacts/scores artifacts/report.html artifacts/fleet artifacts/fleet-scores
