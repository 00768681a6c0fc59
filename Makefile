# `make repro` runs the pipeline, `make test` the tests; each makes the environment first when it must.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export HF_HUB_OFFLINE ?= 1
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: setup repro test check ui report

setup: $(READY)

# torch first and by itself, with what it needs; the lock is complete and needs no resolving.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5) and "Python 3.11.5 or newer is needed; name it: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

repro: $(READY)
	$(BIN)/dvc repro

# A file of tests is one worker's. Threads that wait must not spin, or processes that share a core hold each other up.
test: export OMP_WAIT_POLICY := PASSIVE
test: $(READY)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_pipeline.py

ui: $(READY)
	$(BIN)/mlflow server --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

report:
	@test -f data/evaluate/report.html || { echo "data/evaluate/report.html: not there yet; run make repro" >&2; exit 1; }
	@echo "$(CURDIR)/data/evaluate/report.html"
