# Every target does all the set-up that it needs: clone, then `make demo` or `make test`.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN = $(VENV)/bin
READY = $(VENV)/ready-for-modserve

.PHONY: demo test test-wide lint types setup clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/msctl demo

# Much of a test is waiting for processes, so two files at a time end in half the time; in the order
# of tests/conftest.py, not in that of how many tests a file has.
test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-wide: setup
	$(BIN)/python -m pytest -m wide

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

setup: $(READY) .typing/modserve

# Editable: a change of the code needs no new install, a change of the dependencies does.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	    v >= (3, 11) or sys.exit(f"expected Python 3.11 or later, got {v[0]}.{v[1]} (PYTHON=... names another)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV): some minutes the first time'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# mypy finds the package by its name; the root folder may be called anything.
.typing/modserve:
	mkdir -p .typing
	ln -sfn .. $@

clean:
	rm -rf $(VENV) .typing build dist modserve.egg-info .mypy_cache .ruff_cache .pytest_cache
