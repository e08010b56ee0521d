# Every recipe does its own set-up on a machine that has Python 3.11, make and git.
# ARGS passes arguments on: make demo ARGS="--once", make test ARGS="tests/local -x".

.DEFAULT_GOAL := help
.PHONY: help demo test switches lint bench chaos lock clean

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
PY := .venv/bin/python

define needs
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, and neither python3.11 nor python3 is one." >&2; \
	echo "Install it, or name it: make $@ PYTHON=/path/to/python3.11" >&2; exit 2; }
@$(PYTHON) config/local/install.py $(1)
endef

help: ## these lines
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## everything running on this machine, with two sample postings; ARGS="--once --port N --data DIR"
	$(call needs,runtime)
	@exec $(PY) -m config.local.demo $(ARGS)

test: ## the tests, on a real PostgreSQL and Redis; ARGS are pytest's
	$(call needs,tests)
	@exec $(PY) -m config.local.run --fast -- $(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

switches: ## break each mechanism of safety in turn: the tests must notice, and this says which did
	$(call needs,tests)
	@exec $(PY) -m config.local.run --fast -- $(PY) -m pytest tests/switches -q -p no:randomly $(ARGS)

lint: ## ruff, mypy, import-linter, migrations, system checks, locks, bandit, pip-audit
	$(call needs,tests)
	@$(PY) -m config.local.locks
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/lint-imports
	@.venv/bin/bandit --quiet --recursive --configfile pyproject.toml .
	@$(PY) -m config.local.audit
	@$(PY) -m config.local.run --fast --data .data/lint -- sh -ec \
		'$(PY) -m mypy; $(PY) manage.py check; $(PY) manage.py makemigrations --check --dry-run'

bench: ## measure against peers; writes benchmarks/latest.json; ARGS="--quick"
	$(call needs,tests)
	@exec $(PY) -m config.local.run --data .data/bench -- $(PY) -m benchmarks $(ARGS)

chaos: ## break everything under load and compare; MINUTES=3 SEED=N, ARGS="--kills | --peers | --overload | --hosts"
	$(call needs,tests)
	@MINUTES="$(MINUTES)" SEED="$(SEED)" exec $(PY) -m tests.chaos $(ARGS)

lock: ## make both locks anew from pyproject.toml
	$(call needs,tests)
	@$(PY) -m config.local.locks --write

clean: ## remove what the other recipes made (not while a demo runs)
	@$(PYTHON) config/local/clean.py
