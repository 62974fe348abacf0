# make demo   a city on the embedded default, from registration to an offline check
# make test   the whole test suite; says what this machine lacks, CIVIC_REQUIRE=all makes that a failure
# make check  style, types, import rules, artifacts, README
# make verifier one file that checks bundles and receipts: civic-verify.pyz
# make client the package for departments and auditors: dist/civicledger_client-*.whl
# make generator a client generator of somebody else, with which the test suite reads /openapi.json
# make docs  the pages as a site: dist/docs
# make drills the long runs (up to 90 minutes)
# Each bootstraps what it needs: Python 3.11+ and make are enough.

PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
CIVIC_WORKERS ?= 3
PYTEST := .venv/bin/python -m pytest -n $(CIVIC_WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test check verifier client generator docs drills build clean

help:
	@sed -n 's/^# //p' Makefile

.tools/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check "uv>=0.9"

.venv/.synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet --compile-bytecode
	@touch $@

demo: .venv/.synced
	.venv/bin/civic demo --home city --replace

test: .venv/.synced
	$(PYTEST) -m "not drill and not alone" $(PYTEST_ARGS)
	.venv/bin/python -m pytest -m "alone and not drill" $(PYTEST_ARGS)

check: .venv/.synced
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m contracts.build --check
	.venv/bin/python -m pytest -q -n 0 tests/contracts/invariants/test_patches.py
	.venv/bin/python -m docs.readme --check
	.venv/bin/python -m docs.licences --check
	.venv/bin/python -m docs.powers --check
	.venv/bin/python -m docs.codes --check
	.venv/bin/python -m docs.settings --check
	.venv/bin/python -m docs.http_api --check
	.venv/bin/python -m docs.messages --check

verifier: .venv/.synced
	.venv/bin/python -m ledger.audit.verify.packed civic-verify.pyz

client: .venv/.synced
	.venv/bin/python -m api.sdk.packed dist

# In an environment of its own: what it requires is not what we require.
generator: .tools/generator/.synced

.tools/generator/.synced: tests/generator/requirements.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .tools/generator
	$(UV) pip sync --quiet --python .tools/generator --require-hashes tests/generator/requirements.txt
	@touch $@

docs: .venv/.synced
	.venv/bin/python -m sphinx -W --keep-going -q -b html docs dist/docs

drills: .venv/.synced
	.venv/bin/python -m tests.drills

build: .venv/.synced
	.venv/bin/python -m contracts.build

clean:
	rm -rf .venv .tools civic-verify.pyz city city.high-water dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
