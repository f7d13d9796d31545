# The verbs of the workbench. `make` alone lists them.

VENV := .venv
PYTHON := $(VENV)/bin/python
SCENARIO ?= scenarios/priority-routing.yaml
ARGS ?=
SEEDS ?= 100000
FROM ?= 0
RUNS ?= 1000000

# Everything the native module is built from; a change rebuilds it.
NATIVE := $(shell find engine -name '*.rs' -o -name Cargo.toml -o -name Cargo.lock 2>/dev/null | grep -v /target/)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow soak chaos failover fuzz mutants lint bench bench-micro bench-zinc bench-native interop \
  exhaustion notebooks reference wheel format clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: $(VENV)/ready ## Answer the question of a scenario (SCENARIO=…, ARGS=…)
	$(VENV)/bin/workbench run $(SCENARIO) $(ARGS)

test: $(VENV)/ready ## Check everything: lint, Rust and Python tests, notebooks
	$(MAKE) lint
	cargo test --manifest-path engine/Cargo.toml --workspace --quiet
	$(PYTHON) -m pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/ready ## The tests that take longer
	$(PYTHON) -m pytest -m slow $(ARGS)

soak: ## Run many random worlds of the protocols (SEEDS=…, FROM=…)
	SEEDS=$(SEEDS) FROM=$(FROM) cargo test --manifest-path engine/Cargo.toml -p sp-proto --test simulation promises

LIVES ?= 0-1000
chaos: $(VENV)/ready ## Play random lives of Zinc clusters in virtual time (LIVES=FROM-TO)
	$(PYTHON) tests/apps/chaos.py $(LIVES)

TIMES ?= 200
failover: $(VENV)/ready ## Kill the host of twenty processes again and again (TIMES=…)
	$(PYTHON) tests/apps/failover.py $(TIMES)

# The compiler's instrumentation is asked for by name, which a stable one allows only so. What is found grows in target/.
TARGETS ?= greeting frames headers request response websocket address
fuzz: ## Tell the codecs and sockets any bytes (RUNS=…, TARGETS=…); needs cargo install cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
	cd engine/fuzz && for target in $(TARGETS); do mkdir -p target/corpus/$$target && \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target target/corpus/$$target corpus/$$target -- \
	    -runs=$(RUNS) -max_len=512 -timeout=5 -rss_limit_mb=512 -print_final_stats=1 || exit 1; done

MUTANTS ?= proto/src/**/*.rs
mutants: ## Change the protocols here and there, and see whether a test notices (MUTANTS=…); needs cargo install cargo-mutants
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install cargo-mutants" >&2; exit 1; }
	cd engine && CARGO_BUILD_JOBS=1 nice cargo mutants -p sp-proto -j1 -f '$(MUTANTS)' -o target

lint: $(VENV)/ready ## Formats, clippy, ruff, types, the floors of the house
	cargo fmt --manifest-path engine/Cargo.toml --all --check
	cargo clippy --manifest-path engine/Cargo.toml --workspace --all-targets --quiet -- -D warnings
	$(VENV)/bin/ruff check workbench tests
	$(VENV)/bin/ruff format --check workbench tests
	$(VENV)/bin/mypy
	$(PYTHON) -m mypy.stubtest workbench._engine --ignore-missing-stub
	$(VENV)/bin/lint-imports --no-cache

bench: $(VENV)/ready ## Measure the engine beside pyzmq, in one table (13 minutes; ARGS=--quick: 2 minutes; ARGS="tcp")
	$(PYTHON) engine/benches/table.py $(ARGS)

bench-micro: $(VENV)/ready ## The gate's probes under pytest-benchmark (ARGS=--benchmark-autosave)
	$(PYTHON) -c 'import pytest_benchmark' 2>/dev/null || $(PYTHON) -m pip install --quiet --editable '.[benchmark]'
	$(PYTHON) -m pytest tests/benchmarks/micro.py $(ARGS)

bench-zinc: $(VENV)/ready ## Measure what Zinc costs over bare sockets (1 minute)
	$(PYTHON) -m tests.benchmarks.zinc

bench-native: ## Measure our Rust API beside libzmq, nanomsg and NNG in C; needs their development packages
	python3 engine/benches/native/compare.py $(ARGS)

interop: $(VENV)/ready ## Exchange messages with foreign programs, and write docs/interop.md
	$(PYTHON) -m pytest -m interop tests/interop tests/cli --page docs/interop.md $(ARGS)

exhaustion: $(VENV)/ready ## Attack three libraries and compare how they stand (10 minutes; ARGS=--quick)
	$(PYTHON) tests/exhaustion/measure.py $(ARGS)

notebooks: $(VENV)/ready ## Execute the notebooks and keep their outputs
	$(VENV)/bin/jupytext --sync notebooks/*.py
	$(VENV)/bin/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb

# The run's folder gets a name that notebooks can rely on; its own name stays in its manifest.
keep = rm -rf results/reference/$(1)/$(2) && \
  $(VENV)/bin/workbench run scenarios/$(1).yaml --out results/.new $(3) && mkdir -p results/reference/$(1) && \
  mv "results/.new/$(1)/$$(readlink results/.new/$(1)/latest)" results/reference/$(1)/$(2) && rm -rf results/.new

# Those whose hosts are Python take their time.
SIMULATED := priority-routing survey-deadline slow-subscriber suicidal-snail broadcast-tree pipeline
SLOWLY := discovery host-failure balancing

reference: $(VENV)/ready ## Make the reference results anew (more than an hour, on a quiet machine, everything committed)
	$(foreach scenario,$(SIMULATED),$(call keep,$(scenario),simulated,) && ) true
	$(foreach scenario,$(SLOWLY),$(call keep,$(scenario),simulated,--quick) && ) true
	$(call keep,priority-routing,measured,--world real)
	$(VENV)/bin/workbench report results/reference/priority-routing/simulated results/reference/priority-routing/measured
	$(call keep,subscriptions,measured,--quick)
	$(call keep,throughput-latency,measured,--replications 6)
	$(call keep,remote-calls,measured,--replications 6)
	$(PYTHON) tests/apps/failover.py 200 results/reference/zinc-failover.json
	$(call keep,zero-copy,measured,)
	$(call keep,cores,measured,)

wheel: ## Build a wheel into dist/
	python3 -m pip wheel --no-deps --wheel-dir dist .

format: $(VENV)/ready ## Put everything into its format
	cargo fmt --manifest-path engine/Cargo.toml --all
	$(VENV)/bin/ruff check --fix-only workbench tests
	$(VENV)/bin/ruff format workbench tests

clean: ## Remove what was built, but not the results
	rm -rf $(VENV) engine/target workbench/_engine*.so dist build

# A bare machine has Python 3.11 or later, make, a C linker and Rust; each is checked for and named when missing.
$(VENV)/ready: pyproject.toml $(NATIVE)
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "The workbench needs Python 3.11 or later as python3; here it is: $$(python3 --version 2>&1)." >&2; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python lacks venv (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@command -v cc >/dev/null || \
	  { echo "A C linker is missing: there is no cc (on Debian: apt-get install gcc libc6-dev)." >&2; exit 1; }
	@command -v cargo >/dev/null || \
	  { echo "Rust is missing: there is no cargo. Install it with rustup (https://rustup.rs), then call make again." >&2; exit 1; }
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
