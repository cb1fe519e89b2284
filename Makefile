# One verb per act: serve test check bench stress asan tsan docs. Each makes what it needs, once, and says so.
#
#   make serve ARGS='--port 7000'      arguments go through ARGS; so do pytest's: make test ARGS='-k counter'
#   make test JOBS=1                   number of test processes
#
# What has been made is remembered by stamps in .venv/stamps and build/: remove a directory, and it is made again.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
ARGS   ?=

BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
ENGINE := $(wildcard src_cython/tsunami/*.pyx src_cython/tsunami/*.pxi src_cython/tsunami/*.pxd src_cython/c/*.h) setup.py
PYTEST := -n $(JOBS) --dist worksteal
SAY    := @echo "tsunami:"
PIP    := $(BIN)/python -m pip install -q --disable-pip-version-check

export PYTHON

serve: $(STAMPS)/engine $(STAMPS)/lua $(STAMPS)/metrics $(STAMPS)/server
	$(SAY) "serving; Ctrl-C ends it, make serve ARGS=--help says what else there is"
	@exec $(BIN)/tsunami-server $(ARGS)

test: $(STAMPS)/engine $(STAMPS)/test $(STAMPS)/applications build/node/stamp $(STAMPS)/peers
	$(SAY) "running the tests"
	@$(BIN)/python -m pytest $(PYTEST) $(ARGS)

check: $(STAMPS)/engine $(STAMPS)/dev build/path
	$(SAY) "checking style, types, stubs, layers"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src_cython
	$(BIN)/mypy -p tsunami -p tsunami_server
	MYPYPATH=build/path $(BIN)/stubtest --mypy-config-file pyproject.toml --allowlist tools/stubtest.allow tsunami._core tsunami._wire
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: $(STAMPS)/engine $(STAMPS)/bench $(STAMPS)/peers
	$(SAY) "measuring; the figures go to bench/results"
	@$(BIN)/python bench/run.py $(ARGS)

stress: $(STAMPS)/engine $(STAMPS)/test $(STAMPS)/applications build/node/stamp $(STAMPS)/peers
	$(SAY) "running the tests long: many more examples, rows and rounds"
	@TSUNAMI_PROFILE=stress $(BIN)/python -m pytest $(PYTEST) --timeout 3600 --ignore tests/test_install.py $(ARGS)

asan: build/asan.stamp $(STAMPS)/test $(STAMPS)/peers
	$(SAY) "running the tests against the address- and undefined-behaviour-sanitized build"
	@tools/sanitized address $(BIN)/pytest $(PYTEST) --timeout 900 -m "not measures" --ignore tests/test_install.py \
		--ignore-glob 'tests/test_applications_*' $(ARGS)

tsan: build/tsan.stamp
	$(SAY) "running the threads' tests against the thread-sanitized build"
	@tools/sanitized thread build/tsan-python/bin/python3 -m pytest --timeout 1800 -m "threads and not measures" $(TSAN_TESTS) $(ARGS)

docs: $(STAMPS)/engine $(STAMPS)/test $(STAMPS)/peers
	$(SAY) "writing docs/commands.md, running the examples"
	@$(BIN)/python -m tsunami_server.docs
	@$(BIN)/python -m pytest -q tests/test_docs.py $(ARGS)

.PHONY: serve test check bench stress asan tsan docs

# ---- what the verbs need

$(STAMPS)/venv:
	$(SAY) "making the virtual environment $(VENV)"
	@tools/need build
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(@D) && touch $@

# The Python part is installed as a link to this checkout; the extensions are built in place (see setup.py).
$(STAMPS)/link: $(STAMPS)/venv pyproject.toml
	$(SAY) "installing the build's dependencies"
	@$(BIN)/python tools/requires.py | $(PIP) -r /dev/stdin
	@TSUNAMI_EXTENSIONS=0 PYTHONWARNINGS=ignore $(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(STAMPS)/engine: $(STAMPS)/link $(ENGINE)
	$(SAY) "building the engine (one or two minutes the first time)"
	@$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

$(STAMPS)/lua $(STAMPS)/metrics $(STAMPS)/server $(STAMPS)/test $(STAMPS)/applications $(STAMPS)/dev $(STAMPS)/bench: $(STAMPS)/%: $(STAMPS)/link
	$(SAY) "installing what '$*' needs"
	@TSUNAMI_EXTENSIONS=0 PYTHONWARNINGS=ignore $(PIP) --no-build-isolation -e '.[$*]'
	@touch $@

# No stamp where a peer is missing, so that the next run looks again.
$(STAMPS)/peers: $(STAMPS)/venv tools/need
	@tools/need peers
	@TSUNAMI_PEERS=required tools/need peers 2>/dev/null && touch $@ || true

# What Node's clients need, beside the checkout's own files. Without npm (tools/need says so) their tests are skipped.
build/node/stamp: tests/node/package.json | $(STAMPS)/peers
	@if command -v npm >/dev/null; then \
		echo "tsunami: installing what the tests of Node's clients need" && mkdir -p build/node && cp $< build/node/ && \
		npm install --prefix build/node --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel error && \
		touch $@; fi

# mypy knows packages by the names of their directories.
build/path: $(STAMPS)/venv
	@mkdir -p $@ && ln -sfn ../../tsunami $@/tsunami && ln -sfn ../../server $@/tsunami_server

build/asan.stamp: $(STAMPS)/link $(ENGINE) $(wildcard tsunami/* server/*.py server/*/*.py)
	$(SAY) "building for the address and undefined-behaviour sanitizers, in build/asan"
	@TSUNAMI_SANITIZE=address $(BIN)/python setup.py -q build --build-base build/asan --build-lib build/asan/lib
	@touch $@

build/tsan-python/bin/python3: tools/tsan-python | $(STAMPS)/venv
	$(SAY) "building a free-threaded, thread-sanitized Python (four minutes, once)"
	@JOBS=$(JOBS) tools/tsan-python

# The packages come as wheels through the normal Python: this one has no ssl. The C that it compiles has been generated
# already, and must not look older than what this Cython includes: generating it here would take ten times as long.
TSAN_NEEDS := cython "hypothesis<6.156" pytest pytest-benchmark pytest-timeout redis setuptools sortedcontainers
# Only files with tests of threads are read, which takes long enough; and of these not those that import what has no wheel
# for this Python.
TSAN_TESTS = $(shell grep -LE '^(import|from) (hiredis|uvloop)' $$(grep -lE 'mark\.threads' tests/test_*.py))
build/tsan/site: build/tsan-python/bin/python3 $(STAMPS)/link
	$(SAY) "installing what the tests of threads need, for that Python"
	@$(PIP) --target $@ --implementation cp --python-version 3.13 --abi cp313t --abi none --only-binary :all: --upgrade $(TSAN_NEEDS)
	@find $@/Cython/Includes -exec touch -d @0 {} +
	@touch $@

build/tsan.stamp: build/tsan/site $(STAMPS)/engine $(wildcard tsunami/* server/*.py server/*/*.py)
	$(SAY) "building for the thread sanitizer, in build/tsan"
	@TSUNAMI_SANITIZE=thread TSAN_OPTIONS=report_bugs=0 PYTHONPATH=build/tsan/site build/tsan-python/bin/python3 \
		setup.py -q build --build-base build/tsan --build-lib build/tsan/lib
	@touch $@
