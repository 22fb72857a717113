# Two commands: `make demo` and `make test`. The first call of either sets everything up in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ADVISORIES := api.osv.dev
export DAGSTER_HOME ?= $(CURDIR)

.PHONY: help demo test dev check bench soak guarantees audit lock browser
help: ## Show the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/run | .dagster ## Load the simulated account into DuckDB through Dagster, and show what landed
	@$(BIN)/stripe-dataflow demo

dev: .venv/run | .dagster ## Open Dagster's UI on localhost:3000, with its daemon; history is kept
	@echo "Dagster's UI: http://localhost:3000 (Ctrl-C stops it)"
	@ulimit -c 0; $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

test: .venv/dev ## Run the tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

browser: .venv/dev ## Run the tests that drive Dagster's UI; needs Chromium
	$(BIN)/pytest stripe_dataflow_tests/browser

check: .venv/dev ## Format, lint, types, import directions, definitions; known vulnerabilities where their database answers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -w workspace.yaml
	@if $(BIN)/python -c "import socket; socket.create_connection(('$(ADVISORIES)', 443), 5)" 2>/dev/null; \
	then $(MAKE) audit; else echo "Not audited for vulnerabilities: $(ADVISORIES) cannot be reached."; fi

bench: .venv/dev ## Measure against the limits and a baseline; writes docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

soak: .venv/dev ## Run for 20 minutes under churn and faults (MINUTES=60 for an hour); writes docs/soak.md
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),20)

guarantees: .venv/dev ## Let every fault loose on a small dataflow; writes the matrix into docs/guarantees.md; needs Chromium
	GUARANTEES=1 BACKFILLS=20 $(BIN)/pytest --ignore=stripe_dataflow_tests/faults/test_guarantees.py stripe_dataflow_tests/faults \
	  stripe_dataflow_tests/browser/test_interruptions.py stripe_dataflow_tests/browser/test_queue.py

lock: ## Renew the lock files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras pyproject.toml --extra build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras pyproject.toml --extra build --extra dev -c requirements.lock -o requirements-dev.lock

audit: ## Look for known vulnerabilities of what the lock file names (needs the network)
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit
	.venv-audit/bin/pip-audit --vulnerability-service osv --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock

.dagster: # run history and logs, for their owner alone
	@mkdir -m 700 $@

.venv/run: requirements.lock pyproject.toml | .venv
	@echo "Installing what the lock file names (about a minute)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

.venv/dev: requirements-dev.lock .venv/run
	@echo "Installing what the tests need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

.venv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}; try: make demo PYTHON=python3.12")'
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv
