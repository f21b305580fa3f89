# Two commands do all the set-up: `make demo` and `make test`. `make` alone explains every target.

# Everything that is made goes to ./target, tools and the Python environment of the tests included.
export CARGO_TARGET_DIR := $(CURDIR)/target
# The folder of what lint builds: CI gives lint one of its own, to run beside the tests.
LINT_TARGET ?= target
CARGO  ?= cargo
# LOCKED=--locked (CI) refuses to change Cargo.lock.
LOCKED ?=
# Flags of `make bench`: --quick, --only zipf-100k, --rounds 3.
BENCH  ?=
# Seeds of each scenario in `make incidents` and `make soak`.
SEEDS      ?= 20
SOAK_SEEDS ?= 3
# Of each kind in `make soak-python`.
FORKS      ?= 10000
EXITS      ?= 300
# Processes that `make soak-alerts` kills.
KILLS      ?= 1000
# Seconds of each target in `make fuzz`, and the toolchain that fuzzing needs.
FUZZ_SECONDS   ?= 120
FUZZ_TOOLCHAIN ?= nightly

# Which part of the mutants `make mutants` tries: 0/12 is every twelfth from the first on.
SHARD ?= 0/12
# How often, in each order that `make loom` tries, a thread is stopped where it would run on. One more takes ten times as long.
LOOM_PREEMPTIONS ?= 3

VENV    := target/venv
PYTHON  := $(VENV)/bin/python -B
# The bindings for Python: an environment with the frameworks, the wheel, and one with nothing but the wheel.
PY      := target/python
WHEELS  := target/wheels
EMPTY   := target/python-empty
NODE    := bindings-node
# napi hands what follows -- to cargo.
LOCKED_NAPI := $(if $(LOCKED),-- $(LOCKED))
# The profile of the wheel and of the addon that are tested: dev, as all other tests are built, or release. Before a release,
# PACKAGE_PROFILE=release tests them as they are published, with fat LTO.
PACKAGE_PROFILE ?= dev
NAPI_PROFILE := $(if $(filter release,$(PACKAGE_PROFILE)),--release --strip)
DENY    := target/tools/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ    := target/tools/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
FUZZ_TARGETS := admin alerts codec merge replay_lines rollup_file uptime
MUTANTS := target/tools/bin/cargo-mutants
MUTANTS_VERSION := 27.1.0
# Where a count or a bound is made or kept, and what is concluded from them.
MUTATED := slot/table slot/weights slot/subtable slot/entry block/rows block/packed block/seal window/mod window/sums
DEMO    := target/replay
EXAMPLE := $(CARGO) run $(LOCKED) --quiet --release --package sentinel-examples --example
# The examples that have tests inside; of the others no test program is built.
TESTED_EXAMPLES := $(patsubst examples/%,--example %,$(shell grep -rl --include='*.rs' '#\[test\]' examples | grep -o '^examples/[a-z_]*' | grep -v '^examples/tests$$' | sort -u))
# The examples of one feature, with nothing that only the others need.
BUILD_DEMO := $(CARGO) build $(LOCKED) --profile demo --package sentinel-examples --no-default-features --features

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo replay wheel test test-rust test-browser test-reference test-incidents test-python test-node incidents soak soak-alerts soak-python bench bench-python bench-node fuzz asan loom mutants audit fmt lint clean

help: ## Explain the targets
	@printf 'Sentinel: which tenant is causing elevated errors or latency right now - one, a few, or everyone?\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nVariables: SEEDS=%s (incidents), SOAK_SEEDS=%s (soak), BENCH=--quick (bench), FUZZ_SECONDS=%s (fuzz),\n  LOOM_PREEMPTIONS=%s (loom), SHARD=%s (mutants), PACKAGE_PROFILE=%s (test-python, test-node), LOCKED=--locked (as in CI)\n' \
		'$(SEEDS)' '$(SOAK_SEEDS)' '$(FUZZ_SECONDS)' '$(LOOM_PREEMPTIONS)' '$(SHARD)' '$(PACKAGE_PROFILE)'

demo: ## A live service in which one tenant starts to fail, for 20 s, and the answer (the first build takes a minute)
	@printf 'Builds an axum service with Sentinel in it (a minute on two cores, the first time), runs it for 20 seconds while one of its\ntenants starts to fail, and prints which one.\n'
	@tools/setup cargo
	@printf '\n== Building ==\n'
	$(BUILD_DEMO) services --example axum_incident
	@printf '\n== An axum service, and its clients; after 6 seconds half of what one tenant asks begins to fail ==\n'
	target/demo/examples/axum_incident --seconds 20

replay: ## Make a stream in which one tenant starts to fail, replay it, print the answer (a minute, the first time)
	@printf 'Builds the replay (a minute on two cores, the first time), makes a stream of 390,000 requests in which one tenant starts to\nfail, replays it and prints which one (ten seconds).\n'
	@tools/setup cargo python
	@printf '\n== Building ==\n'
	$(BUILD_DEMO) streams --example incidents --example replay
	@mkdir -p $(DEMO)
	@printf '\n== 1. A stream of 1,000 tenants at 200 requests a second; after 15 minutes one of them begins to fail ==\n'
	target/demo/examples/incidents --emit one_ep@1000x200 --seed 1 --truth $(DEMO)/truth.json > $(DEMO)/events.jsonl
	@printf 'Lines like this one, in %s:\n  %s\n' '$(DEMO)/events.jsonl' "$$(head -n 1 $(DEMO)/events.jsonl)"
	@printf 'What was made to happen: %s\n' "$$(python3 -B tools/truth.py $(DEMO)/truth.json)"
	@printf '\n== 2. The same stream, looked at once a second: a line when the verdict changes ==\n'
	target/demo/examples/replay --every 1s $(DEMO)/events.jsonl
	@printf '\n== 3. The report as of the middle of the incident ==\n'
	target/demo/examples/replay --at "$$(python3 -B tools/truth.py --middle $(DEMO)/truth.json)" $(DEMO)/events.jsonl

wheel: $(PY)/installed ## Build the Python wheel as it is published, in target/wheels (some minutes)
	@tools/setup cargo
	rm -rf $(WHEELS)
	$(PY)/bin/maturin build $(LOCKED) --quiet --release --manifest-path bindings-python/Cargo.toml --out $(WHEELS)

# The Rust workspace is built first, with both cores; from there on what builds goes on beside what waits, in three lanes. What a
# step prints comes as one, when it is over.
test: $(VENV)/installed $(PY)/installed $(NODE)/node_modules/installed ## Install what is missing and run every test; a step's output comes at its end (a quarter of an hour)
	@tools/setup cargo browser node
	@printf '\n== Building the tests ==\n'
	$(CARGO) test $(LOCKED) --workspace --no-run
	@$(MAKE) --no-print-directory -j3 --output-sync=target LANES=1 test-rust test-browser test-reference test-incidents test-python test-node
	@printf '\nAll tests passed.\n'

ifdef LANES
test-reference: | test-rust
test-incidents: | test-reference
test-node: | test-browser
endif

test-rust: $(VENV)/installed
	@tools/setup cargo
	@printf '\n== Unit, integration and documentation tests ==\n'
	SENTINEL_TEST_ALL=1 $(CARGO) test $(LOCKED) --workspace
	@printf '\n== Tests inside the examples ==\n'
	$(CARGO) test $(LOCKED) --workspace $(TESTED_EXAMPLES)

test-browser: $(VENV)/installed
	@tools/setup cargo browser
	@printf '\n== The admin view in a real browser, its document and bad input over a socket ==\n'
	$(CARGO) build $(LOCKED) --workspace --example admin_states --example axum_incident
	$(PYTHON) -m pytest -q -p no:cacheprovider tests/browser

test-reference: $(VENV)/installed
	@tools/setup cargo
	@printf '\n== Tests of the comparison with the reference ==\n'
	$(PYTHON) tests/reference/test_compare.py
	@printf '\n== Comparison with the reference, second by second: the slice of CI ==\n'
	$(CARGO) build $(LOCKED) --workspace --example follow
	$(PYTHON) tests/reference/compare.py --slice ci --follow target/debug/examples/follow

test-incidents:
	@tools/setup cargo
	@printf '\n== Made incidents against the targets: the slice of CI ==\n'
	$(CARGO) build $(LOCKED) --workspace --example incidents
	target/debug/examples/incidents --slice ci

# The tests run against the wheel as it would be installed, built from the source distribution: that has the lock file without what
# only the rest of the workspace needs, which --locked would not allow. Its files are of now: with the fixed date that they have
# otherwise, cargo takes what it has built of older ones for theirs.
test-python: $(PY)/installed ## Build the Python wheel, run its tests, check its types, install it where nothing else is
	@tools/setup cargo
	@printf '\n== The Python package ==\n'
	rm -rf $(WHEELS) $(EMPTY)
	SOURCE_DATE_EPOCH=$$(date +%s) $(PY)/bin/maturin build --quiet --profile $(PACKAGE_PROFILE) --sdist --manifest-path bindings-python/Cargo.toml --out $(WHEELS)
	$(PY)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	cd bindings-python && ../$(PY)/bin/mypy --config-file pyproject.toml
	$(PY)/bin/python -m mypy.stubtest tenant_sentinel._native
	$(PY)/bin/python -B -m pytest -q -p no:cacheprovider bindings-python/tests
	python3 -m venv $(EMPTY)
	$(EMPTY)/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls $(WHEELS)/*.whl)[fastapi]"
	$(EMPTY)/bin/python -B bindings-python/tests/installed.py bindings-python/README.md

# In a folder of packages that the lock file names.
test-node: $(NODE)/node_modules/installed ## Build the Node package, run its tests, check its types, install its tarball where nothing else is
	@tools/setup cargo node
	@printf '\n== The Node package ==\n'
	cd $(NODE) && npm run --silent build:as -- $(NAPI_PROFILE) $(LOCKED_NAPI)
	cd $(NODE) && node --test --test-concurrency=2 test/*.test.js
	$(NODE)/test/types.sh
	$(NODE)/test/installed.sh

incidents: ## Measure the verdicts on every made incident against the targets, SEEDS of each, and print the table (long)
	$(EXAMPLE) incidents -- --seeds $(SEEDS) --json target/incidents.json

soak: $(VENV)/installed ## The longer runs: the comparison with the reference on every scenario, SOAK_SEEDS of each (hours)
	$(PYTHON) tests/reference/compare.py --all --seeds $(SOAK_SEEDS)

# With the wheel that test-python or bench-python has installed.
soak-python: $(PY)/installed ## The longer runs of the Python package: FORKS forks and EXITS exits under load (half an hour; after test-python)
	FORKS=$(FORKS) EXITS=$(EXITS) $(PY)/bin/python -B -m pytest -q -s -p no:cacheprovider -k 'forks or exits or multiprocessing' \
		bindings-python/tests/test_fork.py bindings-python/tests/test_host_processes.py

bench-python: wheel bindings-python/bench/requirements.txt ## Measure the Python package beside its peers; prints a table
	$(PY)/bin/python -m pip install --quiet --disable-pip-version-check --requirement bindings-python/bench/requirements.txt
	$(PY)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target target/python-peers apitally==0.25.1 backoff==2.2.1
	$(PY)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	$(PY)/bin/python -B bindings-python/bench --out target/bench-python.jsonl $(BENCH)

bench: ## Measure speed and memory beside what people use today, against the targets (half an hour and more); BENCH=--quick: a look
	$(CARGO) run $(LOCKED) --quiet --release --package sentinel-benches --bin bench -- --out target/bench.jsonl $(BENCH)

bench-node: $(NODE)/node_modules/installed ## Measure the Node package beside its peers; prints a table
	@tools/setup cargo node
	cd $(NODE) && npm run --silent build -- $(LOCKED_NAPI)
	cd $(NODE)/bench && npm ci --silent --no-audit --no-fund
	@mkdir -p target
	node $(NODE)/bench/main.js --out target/bench-node.jsonl $(BENCH)

soak-alerts: ## Kill KILLS leaders at random moments while tenants fail and recover: each is told, once
	@tools/setup cargo
	KILLS=$(KILLS) $(CARGO) test $(LOCKED) --package tenant-sentinel-exporter --lib kills -- --nocapture

# What is found stays in target/fuzz; the corpus in the tree is only read. An input that breaks something ends it.
fuzz: $(FUZZ) ## Fuzz the admin view, alerts, the codec, merges, the replay's lines, rollup files and uptime checks, FUZZ_SECONDS each; a crash stops it (needs nightly Rust)
	@tools/setup cargo fuzz
	@for target in $(FUZZ_TARGETS); do \
		printf '\n== %s, %s s ==\n' "$$target" '$(FUZZ_SECONDS)'; \
		mkdir -p target/fuzz/corpus/$$target target/fuzz/crashes/$$target; \
		RUSTUP_TOOLCHAIN=$(FUZZ_TOOLCHAIN) CARGO_TARGET_DIR=$(CURDIR)/target/fuzz \
			$(FUZZ) run $$target target/fuzz/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -len_control=10 -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=64 \
			-artifact_prefix=target/fuzz/crashes/$$target/ || exit 1; \
	done

# RUSTC_BOOTSTRAP: the sanitizer is not in stable Rust yet. Leaks are not looked for: a forked child leaks what it
# inherited on purpose.
asan: ## Run the tests of the core (not those in its documentation) under AddressSanitizer
	@tools/setup cargo
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 CARGO_TARGET_DIR=$(CURDIR)/target/asan \
		$(CARGO) test $(LOCKED) --package tenant-sentinel-core --lib --tests \
		--target $$(rustc -vV | sed -n 's/^host: //p')

# The models are in sentinel-core/src/loom_tests.rs. The cfg swaps the stripes' locks, the lock behind them, `busy` and the
# manual clock for loom's, which runs a model once in every order of what its threads do to these. No other build knows loom.
loom: ## Model-check recording against rotation and queries: every order, up to LOOM_PREEMPTIONS (some minutes)
	@tools/setup cargo
	RUSTFLAGS="--cfg sentinel_loom" LOOM_MAX_PREEMPTIONS=$(LOOM_PREEMPTIONS) CARGO_TARGET_DIR=$(CURDIR)/target/loom \
		CARGO_PROFILE_TEST_OPT_LEVEL=3 $(CARGO) test $(LOCKED) --package tenant-sentinel-core --lib loom_tests:: \
		-- --test-threads=1 --nocapture

# A mutant that no test notices is listed as missed: some change nothing (a capacity, a shortcut), the others are a gap. Exits
# with 2 when there are some. Only the fast tests run, so what is missed here may be caught by `make test`.
mutants: $(MUTANTS) ## Break the core in small ways and see whether a test notices: SHARD=0/12 of them (some hours)
	@tools/setup cargo
	$(MUTANTS) mutants --package tenant-sentinel-core $(MUTATED:%=--file sentinel-core/src/%.rs) \
		--file 'sentinel-core/src/verdict/*.rs' --sharding round-robin --shard $(SHARD) --timeout 120 --output target \
		-- --lib --test merge --test oracle --test verdicts

audit: $(DENY) ## Check dependencies: what is banned, licences, sources (installs cargo-deny first: some minutes)
	$(DENY) check bans licenses sources

fmt: $(PY)/installed ## Format the code
	$(CARGO) fmt --all
	$(PY)/bin/ruff format --config bindings-python/pyproject.toml --quiet bindings-python examples

lint: $(PY)/installed ## Check that imports go downward, the format; clippy, rustdoc and ruff without a warning
	tools/rooms
	python3 -B tests/tools/test_rooms.py --quiet
	$(CARGO) fmt --all --check
	$(PY)/bin/ruff check --config bindings-python/pyproject.toml --quiet bindings-python examples
	$(PY)/bin/ruff format --config bindings-python/pyproject.toml --quiet --check bindings-python examples
	CARGO_TARGET_DIR=$(CURDIR)/$(LINT_TARGET) $(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	CARGO_TARGET_DIR=$(CURDIR)/$(LINT_TARGET) RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(LOCKED) --no-deps --workspace

clean: ## Remove ./target, with the installed tools
	rm -rf target

$(VENV)/installed: tools/requirements.txt tools/setup
	@tools/setup python
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tools/requirements.txt
	@touch $@

$(PY)/installed: bindings-python/requirements.txt tools/setup
	@tools/setup python cargo
	python3 -m venv $(PY)
	$(PY)/bin/python -m pip install --quiet --disable-pip-version-check --requirement bindings-python/requirements.txt
	@touch $@

$(NODE)/node_modules/installed: $(NODE)/package-lock.json tools/setup
	@tools/setup node
	cd $(NODE) && npm ci --silent --no-audit --no-fund
	@touch $@

$(DENY):
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root target/tools

$(MUTANTS):
	$(CARGO) install cargo-mutants --version $(MUTANTS_VERSION) --locked --root target/tools

$(FUZZ):
	$(CARGO) install cargo-fuzz --version $(FUZZ_VERSION) --locked --root target/tools
