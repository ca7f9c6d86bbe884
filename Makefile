# Everything runs from .venv; `make setup` fills it from the lock file and does nothing while that is unchanged.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# quiet, and no telemetry
export TF_CPP_MIN_LOG_LEVEL := 3
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export ORT_DISABLE_TELEMETRY := 1

.PHONY: run test lint bench lock setup clean

run: setup            ## train, calibrate and evaluate; on the bundled fleet, unless data/ holds something else
	@test -d data || dvc pull --quiet data.dvc
	@dvc repro
	@offbeat summary

test: setup lint      ## style, types and every test
	@pytest

lint: setup
	@ruff check . && ruff format --check . && mypy

bench: setup          ## metrics on real labelled readings, from a local copy of the public sets in DATA
	@python benchmarks/accuracy.py --data $(DATA)

DATA ?= ../shared/data

setup: .venv/ready    ## the environment; a few minutes the first time

.venv/ready: requirements.lock pyproject.toml scripts/setup.sh
	@echo "Setting up .venv (a few minutes the first time) ..."
	@bash scripts/setup.sh
	@touch $@

lock:                 ## solve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra train --extra pipeline --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --upgrade -o requirements.lock

clean:
	rm -rf .venv artifacts/prepared artifacts/model artifacts/detector artifacts/scores
