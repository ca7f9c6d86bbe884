# Everything runs from .venv; `make setup` fills it from the lock file and does nothing when it is up to date.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# quiet, and no telemetry
export TF_CPP_MIN_LOG_LEVEL := 3
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1

.PHONY: run test lint bench setup clean

run: setup      ## train, calibrate and evaluate on the bundled fleet
	@dvc pull --quiet data
	@dvc repro
	@offbeat summary

test: setup lint ## lint, types and every test
	@pytest

lint: setup
	@ruff check . && ruff format --check . && mypy

bench: setup    ## real readings, when ../shared/data is there
	@python benchmarks/accuracy.py

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@echo "Setting up .venv (a few minutes the first time) ..."
	@bash scripts/setup.sh "$(PYTHON)"
	@touch $@

clean:
	rm -rf .venv artifacts
