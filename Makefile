# Every target sets itself up: only Python 3.11 or newer and make are assumed.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Byte code halves the start of every process that the tests and the demo spawn.
unexport PYTHONDONTWRITEBYTECODE
export RUST_BACKTRACE := 0

READY := .venv/ready
PYTEST := scripts/offline python -m pytest
# These tests mostly wait, each for machines of its own.
SIDE_BY_SIDE := -n 4
# These measure how long an agent waits, which other tests beside them would lengthen.
ALONE := tests/e2e/test_attacks.py tests/e2e/test_made_up_members.py

.DEFAULT_GOAL := help
.PHONY: help setup proto fmt lint types test unit sim sim-plots picture sim-history sim-private chaos chaos-tasks world fuzz soak integration e2e interop clients bench bench-search bench-history conformance demo check lock

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make the virtual environment and install everything
$(READY): requirements-dev.lock pyproject.toml
	@echo "setting up .venv (once, about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(PYTHON) -m venv .venv
	@python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Alice and Bob: two daemons, two agents, one room
	@scripts/offline python -m scripts.demo

test: $(READY)  ## unit, simulation, integration, e2e
	$(PYTEST) tests --ignore=tests/bench --ignore=tests/interop --ignore=tests/clients --ignore=tests/e2e -n 3
	$(PYTEST) tests/e2e $(SIDE_BY_SIDE) $(ALONE:%=--ignore=%)
	$(PYTEST) $(ALONE)

unit: $(READY)  ## one module at a time
	$(PYTEST) tests/unit -n 2

sim: $(READY)  ## gossip's figures beside iroh-gossip's, to 10,000 nodes (QUICK=1: to 1,000); SCENARIO= SEED= replay one
	@nice python -m tests.simulation.run $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(QUICK)$(SCENARIO)$(SEED),,--n10000) build/sim.json

sim-plots: $(READY)  ## draw those figures for docs/gossip.md
	@python -m scripts.sim_plots

picture: $(READY)  ## draw the README's terminal from what the programs print
	@scripts/offline python -m scripts.terminal_picture

chaos-tasks: $(READY)  ## 1,000 tasks among 8 workers that are killed, cut off and slow; SEED= replays one
	@python -m tests.simulation.chaos_tasks $(if $(SEED),--seed $(SEED))

world: $(READY)  ## real daemons in an internet in a box: routers, relays, moving, sleep; QUICK=1: 3 minutes; ONLY=
	@python -m tests.worlds.run $(if $(QUICK),--quick) $(if $(ONLY),--only "$(ONLY)")

# Not in the lock: it has no wheels for some machines on which everything else runs.
fuzz: $(READY)  ## every decoder with bytes that are almost right; MINUTES= (10), SECONDS=, ONLY=, KEEP=1 keeps what is new
	@$(if $(SECONDS),,python -m pip install --quiet --disable-pip-version-check --no-deps --target build/atheris \
	  --upgrade atheris==3.0.0 2>/dev/null || echo "atheris does not install here, so nothing guides the fuzzing")
	@PYTHONPATH=build/atheris scripts/offline nice python -m tests.fuzz.run --seconds $(or $(SECONDS),$$((60 * $(or $(MINUTES),10)))) \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)
	$(if $(SECONDS)$(ONLY),,BUDDIES_FUZZ_EXAMPLES=4000 $(PYTEST) tests/fuzz/test_daemon.py)

soak: $(READY)  ## five machines through kills, sleep, full disks and wrong clocks; MINUTES= (10), SEED= replays; draws a chart
	@scripts/offline python -m tests.soak.run --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

chaos: $(READY)  ## whole machines killed, frozen, cut off, filled up, 200 seeds; SEEDS= for more, SEED= replays one
	@nice python -m tests.simulation.chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200))

sim-history: $(READY)  ## histories of nodes that crash, sleep and are split, 200 seeds; SEEDS= for more, SEED= replays one
	@nice python -m tests.simulation.history $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200))

sim-private: $(READY)  ## a private room among hostile members, 1,000 seeds; SEEDS= for more, SEED= replays one
	@nice python -m tests.simulation.private_rooms $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

integration: $(READY)  ## RocksDB, gRPC and iroh on loopback, in one process
	$(PYTEST) tests/integration -n 3

e2e: $(READY)  ## daemons, shims and CLI as processes
	$(PYTEST) tests/e2e $(SIDE_BY_SIDE) $(ALONE:%=--ignore=%)
	$(PYTEST) $(ALONE)

interop: $(READY)  ## our nodes among iroh-gossip's own; needs cargo, builds for 3 minutes once
	@scripts/build-rust-peer >/dev/null || test $$? -eq 3
	$(PYTEST) tests/interop

clients: $(READY)  ## the real Claude Code, Codex, OpenCode and Gemini CLI; needs npm, 1.3 GB once
	@scripts/install-clients >/dev/null || test $$? -eq 3
	$(PYTEST) tests/clients

bench: $(READY)  ## what agents and people wait for, beside goals and the last result; QUICK=1: 30 s; ONLY=, KEEP=1
	@scripts/offline python -m tests.bench.run $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(KEEP),--keep)

bench-search: $(READY)  ## how well questions are answered, and how fast lists are; HALVES=a, SCALE=1 for a million
	$(PYTEST) tests/bench/test_search_quality.py -s
	@python -m tests.bench.lists
	@python -m tests.bench.scale

bench-history: $(READY)  ## what it takes to make two histories equal: rounds, bytes, seconds; a million items too
	@nice python -m tests.bench.history

conformance: $(READY)  ## the MCP conformance suite by HTTP, as far as it needs no fixtures, and the Inspector; needs npm
	@scripts/conformance

proto: $(READY)  ## generate buddies_core/pb from proto/
	python -m grpc_tools.protoc -Ibuddies_core/pb=proto \
	  --{python,grpc_python,mypy,mypy_grpc}_out=. proto/*.proto

fmt: $(READY)  ## format
	ruff format .
	ruff check --fix --quiet . || true

lint: $(READY)  ## style, and who may import whom
	ruff format --check .
	ruff check .
	lint-imports

types: $(READY)  ## mypy --strict, tests included
	mypy

check: lint types test interop clients demo  ## all that CI runs
	@$(MAKE) --no-print-directory world QUICK=1
	@$(MAKE) --no-print-directory fuzz SECONDS=20
	@$(MAKE) --no-print-directory soak MINUTES=2
	@$(MAKE) --no-print-directory bench QUICK=1
	@$(MAKE) --no-print-directory proto
	git diff --exit-code -- buddies_core/pb

lock: $(READY)  ## renew requirements-dev.lock from what is installed
	python -m pip freeze --exclude-editable > requirements-dev.lock
