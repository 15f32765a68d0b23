# Everything that a developer, a newcomer and continuous integration run. `make` alone lists it.
# Each target sets up what it needs first; a second run finds it there.

.DEFAULT_GOAL := help
.PHONY: help demo check lint types quick-tests test fuzz chaos format setup clean

BIN := .venv/bin
DEMO_DB := $(CURDIR)/.cache/demo/benchfleet.db
# Tests start many interpreters: keep their bytecode, even where the environment says to write none, but out of the tree.
KEEP_BYTECODE := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/.cache/bytecode

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: ## run a small sweep on this machine and compare its variants
	@scripts/setup demo
	@mkdir -p $(dir $(DEMO_DB))
	@BENCHFLEET_DB=$(DEMO_DB) scripts/demo

check: ## the quick loop: format, lint, types, import rules, worker syntax, unit and contract tests
	@scripts/setup check
	@$(MAKE) --no-print-directory --jobs --output-sync=line lint types quick-tests

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/vermin --target=3.7- --violations --no-tips device_worker

types:
	$(BIN)/mypy

quick-tests:
	$(KEEP_BYTECODE) $(BIN)/pytest -n auto --dist worksteal --maxprocesses 8 --hypothesis-profile=quick -m "not system and not network and not long" tests/unit tests/contract tests/chaos tests/endurance

test: ## every test, on real servers: sshd, PostgreSQL, Ray, TensorFlow; the worker's on Python 3.7 too
	@scripts/install-system-packages
	@scripts/setup test
	scripts/test-worker-on-floor
	scripts/test-in-halves

fuzz: ## feed every parser nonsense for FUZZ_SECONDS (300), mutated by FUZZ_SEED (1)
	@scripts/setup check
	$(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),300) --seed $(or $(FUZZ_SEED),1)

chaos: ## break everything at every step: CHAOS_HISTORIES=300 CHAOS_SEED= CHAOS_JOBS= CHAOS_DB=sqlite|postgresql
	@scripts/install-system-packages
	@scripts/setup test
	$(KEEP_BYTECODE) $(BIN)/python -m tests.chaos

format: ## rewrite the sources as `make check` wants them
	@scripts/setup check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: ## only the set-up: the package and the development tools in .venv
	@scripts/setup check

clean: ## remove what these targets made in the checkout
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
