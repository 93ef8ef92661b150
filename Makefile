# Every target sets up what it needs in .venv by itself.
# The first that runs and is new enough: a name on the PATH may be a shim for a version that is not installed.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO_OUTPUT := bulkpull-demo

.PHONY: help demo test check docs release-check lock bench bench-full bench-smoke clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install, then export twenty datasets from the embedded simulator into $(DEMO_OUTPUT)/"
	@echo "make test    install, then run the test suite"
	@echo "make check   install, then lint and type-check"
	@echo "make docs    install, then build the guides into .build/site"
	@echo "make release-check   build the release, install it on every Python of this machine, run the demo from it (minutes)"
	@echo "make lock    write requirements/container.txt anew"
	@echo "make bench   install, then measure every scenario in small sizes beside its peers and check the budgets (minutes)"
	@echo "make bench-full   the same in full sizes (about an hour)"
	@echo "make bench-smoke  install, then run every scenario and peer once on very little data; no figures"
	@echo "make clean   remove the virtual environment, caches and the demo's output"

demo: $(VENV)/.runtime
	$(BIN)/bulkpull export --demo --output $(DEMO_OUTPUT)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python docs/errors_page.py
	$(BIN)/python docs/waits_page.py
	$(BIN)/python docs/reference_pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file mkdocs.site.yml

release-check: $(VENV)/.release
	$(BIN)/python release/lock_requirements.py --check
	$(BIN)/python release/release_check.py

lock: $(VENV)/.release
	$(BIN)/python release/lock_requirements.py

bench bench-full: $(VENV)/.dev
	$(BIN)/python -m benchmarks all --size $(if $(filter bench-full,$@),full,small)

bench-smoke: $(VENV)/.dev
	$(BIN)/python -m benchmarks smoke

clean:
	rm -rf $(VENV) $(DEMO_OUTPUT) dist .build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find bulkpull tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer on the PATH; name one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# pip says what it downloads: a minute of silence looks as if nothing happened.
$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	@echo "Installing bulkpull and its libraries into $(VENV) (330 MB on the disk, once) ..."
	$(BIN)/python -m pip install --editable .
	@touch $@

# One resolution and one build for both: a first `make test` or `make check` does not install twice.
# `pip install --group` came with pip 25.1, which the step above makes sure of.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing bulkpull, its libraries and the tools of its tests into $(VENV) (once) ..."
	$(BIN)/python -m pip install --group dev --editable .
	@touch $(VENV)/.runtime $@

$(VENV)/.docs: pyproject.toml | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

$(VENV)/.release: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group release
	@touch $@
