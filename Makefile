# Every target is one thing that people do; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
UV_VERSION := 0.13.8
CACHE := $(or $(LEADSMAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/leadsman)
UV_HOME := $(CACHE)/uv-$(UV_VERSION)
export UV := $(UV_HOME)/bin/uv
export UV_PYTHON_DOWNLOADS := never

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-8s\033[0m %s\n", $$1, $$2}'

setup: $(VENV)/.done ## Make .venv from the committed lock file

$(VENV)/.done: pyproject.toml uv.lock
	@test -x $(UV) || { echo "installing uv $(UV_VERSION)"; python3 -m venv $(UV_HOME) && $(UV_HOME)/bin/pip install -q uv==$(UV_VERSION); }
	@$(UV) sync --frozen --quiet && touch $@

demo: setup ## The main job on a real cluster: one good release, one bad one (KEEP=1 keeps the cluster)
	@$(PY) -m e2e.demo

test: setup ## Unit, contract, property and crash tests (EXAMPLES=n for more property examples)
	@$(PY) -m pytest tests -n 2 --dist worksteal -q $(ARGS)

e2e: setup ## Every promise on a real cluster (ARGS="-k name" for some)
	@$(PY) -m e2e.run $(ARGS)

bench: setup ## Measure the numbers of bench/results.json (ONLY=key,... for some)
	@$(PY) -m bench

check: setup ## Format, lint, types, layers, generated files
	@$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports
	@PYTHONPATH=operator $(PY) -m leadsman.api.crd --out crds --check && PYTHONPATH=operator $(PY) -m leadsman.api.reference --out docs/reference --check

crds: setup ## Generate crds/ and docs/reference/ from the API models
	@PYTHONPATH=operator $(PY) -m leadsman.api.crd --out crds && PYTHONPATH=operator $(PY) -m leadsman.api.reference --out docs/reference

.PHONY: help setup demo test e2e bench check crds
