# `make run` starts a local grid, `make test` checks everything. Both make the environment first if need be.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check environment environment-dev lock

run: environment
	@exec $(BIN)/nearedge up $(ARGS)

test: environment-dev check

# Linter, types and every test on real models, in the environment that is there.
check:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy scripts/bootstrap.py
	$(BIN)/mypy scripts/subdivisions.py
	$(BIN)/nearedge models pull
	$(BIN)/nearedge geoip update
	$(BIN)/pytest $(ARGS)

environment:
	@$(bootstrap)

environment-dev:
	@$(bootstrap) --dev

# Pins what is installed now: run it after an upgrade that passes `make check`.
lock:
	@{ echo "# Exact versions of everything that is installed; \`make lock\` writes this file."; \
	   $(BIN)/python -m pip list --format=freeze --exclude-editable --exclude setuptools; } > constraints.txt

define bootstrap
command -v $(PYTHON) >/dev/null || { echo "error: Python 3.11 or newer is needed, and there is no $(PYTHON)" >&2; exit 1; }; \
$(PYTHON) scripts/bootstrap.py
endef
