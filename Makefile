# What a newcomer types. Everything runs in .venv, made on the first call and reused after that.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint format

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(READY) ## pretrain on a generated world of pictures, captions and sounds, and print the table (10 minutes)
	$(BIN)/python -m one_peace.examples.world.demo --out outputs/demo

test: lint ## check the style and run the tests, on JOBS=2 processes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(READY) ## check the style
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

format: $(READY) ## put the style right
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# A .venv with the mark .half-made was interrupted while it was made here: it starts over. One made by hand is kept.
# Where the interpreter has no ensurepip, its own pip brings one.
$(READY): setup.py pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 or python3 found; name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "$(PYTHON) is not Python 3.11 or 3.12; name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@if [ -e $(VENV)/.half-made ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.half-made && \
		{ $(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }; }; \
	fi
	@touch $(VENV)/.half-made
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev,examples]' -c constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps tinysoundfont -c constraints.txt
	@rm $(VENV)/.half-made && touch $@
