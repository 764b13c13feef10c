# Two commands matter: `make run` and `make test`. Both need Python >= 3.11 and nothing else.

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Hundreds of processes are started, also by tests: none shall compile again what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE

SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The first Python that is new enough and can make virtual environments.
PYTHON = $(shell PATH="$(SYSTEM_PATH)"; for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import ensurepip, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
NO_PYTHON = gql-server needs Python 3.11 or newer with venv and ssl; name one with: make PYTHON=/path/to/python3

PIP = python -m pip --disable-pip-version-check --no-input -qq
INSTALL = $(PIP) install --no-compile --require-hashes -r
INSTALL_SELF = $(PIP) install --no-deps --no-build-isolation --editable .
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(UPGRADE)

DATA := $(or $(GQL_DATA_DIR),.data)
VENV := .venv/.made
RUNTIME := .venv/.runtime
DEV := .venv/.dev
MODULES := frontend/node_modules/.installed
RELAY := tests/relay/node_modules/.installed
CLIENTS := tests/js/node_modules/.installed
AUDITS := tests/audits/node_modules/.installed
IDENTITY := tests/oidc/node_modules/.installed
POSTGRAPHILE := bench/rivals/postgraphile/node_modules/.installed
PAGE := .venv/.page
# More than the two cores of CI, because some tests wait; the idle take from the busy what is left at the end.
PROCESSES := -n 4 --dist worksteal
FAST := tests/ledger tests/policy/test_guards.py tests/policy/test_permissions.py tests/policy/test_rows.py tests/feed \
	tests/graph/cost tests/graph/test_schema.py tests/graph/test_lint.py tests/graph/test_document_limits.py \
	tests/test_cli.py::test_two_workers_beside_serve_share_an_uploaded_file
# A part of each package that talks to PostgreSQL or to libraries, and a day of the whole.
NEWER := $(addprefix tests/,ledger/test_ledger.py ledger/test_claim.py ledger/test_plans.py ledger/failures/test_record.py feed/test_watch.py \
	worker/test_worker.py commands/test_pipelines.py handlers/test_ingest.py carbon/test_readers.py files/test_database.py \
	policy/test_rows.py reads/test_pagination.py reads/pipelines/test_filter.py execution/test_plan.py graph/test_schema.py \
	graph/pipelines/test_list.py graph/mutations/test_pipelines.py http/test_live.py db/test_engine.py db/test_migrate.py db/test_routines.py \
	test_cli.py::test_two_workers_beside_serve_share_an_uploaded_file)
# What writes, and what reads what was written, through functions and triggers that are now ours.
PREVIOUS := $(addprefix tests/,ledger worker commands feed graph/mutations graph/feed graph/pipelines/test_list.py \
	graph/pipelines/test_pipeline.py graph/test_queries.py http/test_live.py http/test_uploads.py)
COVERED := gql_server/ledger/*,gql_server/policy/*,gql_server/feed/*
WORKSPACES := frontend frontend/client frontend/console
PAGE_SOURCES := $(wildcard $(foreach folder,$(WORKSPACES),$(addprefix $(folder)/,*.json *.js *.ts *.html .npmrc))) schema.graphql \
	$(shell find $(addsuffix /src,$(WORKSPACES)) -type f -not -path '*/generated/*' 2>/dev/null)

# GNU make hands SIGTERM on to its program, but keeps a SIGINT sent to it alone and waits: seen there for long, it is handed on.
HAND_ON_INTERRUPT = { make=/proc/$$PPID/status; \
	while kill -0 $$$$ && grep -q '^SigBlk.*[014589cd]$$' $$make; do sleep 1; done; \
	[ ! -e $$make ] || { sleep 2; kill -TERM $$$$; }; } </dev/null >/dev/null 2>&1 &

.PHONY: help run test test-fast exhaustive newer previous coverage hooks check format schema lock frontend browser relay clients audits fuzz schemathesis faults bench bench-smoke ratios release clean reset

help:
	@echo 'make run       set up, run a real operating day, serve it on http://127.0.0.1:8000'
	@echo 'make test      set up, run every test against a real PostgreSQL'
	@echo 'make test-fast the rules, the policy, the schema and one server, in less than a minute'
	@echo 'make exhaustive more examples of what make test shows by some'
	@echo 'make newer     a part of each package on PostgreSQL 16 and the newest Python'
	@echo 'make previous  tests of the last release that write, on the schema of now'
	@echo 'make coverage  make test, and no line of the ledger, the policy and the feed is left untested'
	@echo 'make check     lint, format, types, import rules, dependencies, lock files, schema, migrations'
	@echo 'make hooks     check what changed before each commit'
	@echo 'make format    format and fix'
	@echo 'make schema    write schema.graphql'
	@echo 'make frontend  build the operations console and the GraphiQL page'
	@echo 'make browser   test the pages in Chromium'
	@echo 'make relay     run the Relay compiler and graphql-eslint over the schema'
	@echo 'make clients   our client package, and well-known JavaScript clients against a server that restarts'
	@echo 'make audits    the audits of GraphQL over HTTP against a server'
	@echo 'make fuzz      anything at all as requests, variables, ids and messages'
	@echo 'make schemathesis operations made of the schema, 700 as each of three viewers'
	@echo 'make faults    kill, stop and starve processes for some minutes'
	@echo 'make bench     measure'
	@echo 'make bench-smoke each benchmark, at a tiny size'
	@echo 'make ratios    fail when the graph has become slower than it was, beside other servers'
	@echo 'make release   the wheel, tried, with the list of what is in it and its licences, into dist/'
	@echo 'make lock      pin dependencies again (newer ones: UPGRADE=--upgrade)'
	@echo 'make clean     remove everything built and installed'
	@echo 'make reset     remove the data'

run: $(RUNTIME) $(PAGE)
	@$(HAND_ON_INTERRUPT) exec gql-server demo

test: $(DEV)
	@exec pytest $(PROCESSES) $(ARGS)

test-fast: $(DEV)
	@exec pytest $(PROCESSES) $(FAST) $(ARGS)

exhaustive: $(DEV)
	@exec pytest $(PROCESSES) -m exhaustive $(ARGS)

newer: $(DEV)
	@exec .ci/newer $(PROCESSES) $(or $(ARGS),$(NEWER))

previous: $(DEV)
	@exec .ci/previous $(or $(ARGS),$(PREVIOUS))

# Every package is measured, some must be covered whole; on the newest Python that can be had, where measuring costs little.
coverage: $(DEV)
	@newest=$$(.ci/newest) && export PATH=$$newest/bin:$$PATH; \
	[ $$newest = $(CURDIR)/.venv ] || export COVERAGE_CORE=sysmon COVERAGE_CONCURRENCY=thread; \
	pytest $(PROCESSES) --cov --cov-report= $(ARGS) && \
	coverage report --skip-covered --include='$(COVERED)' --show-missing --fail-under=100 && \
	coverage report --format=total | xargs echo 'gql_server, percent of all lines:'

hooks: $(DEV)
	@pre-commit install

check: $(DEV)
	ruff check
	ruff format --check
	pyright
	lint-imports
	deptry .
	python .ci/locked.py
	python .ci/licences.py
	gql-server schema --check
	gql-server migrate --check

format: $(DEV)
	ruff check --fix
	ruff format

schema: $(DEV)
	gql-server schema --write

frontend: $(MODULES)
	cd frontend && npm run build
	@touch $(PAGE)

browser: $(DEV) $(IDENTITY) frontend
	@exec pytest -m browser $(ARGS) tests/e2e

relay: $(DEV) $(RELAY)
	@cd tests/relay && npm run --silent check

clients: $(DEV) $(CLIENTS) $(MODULES)
	@cd frontend && npm run --silent build --workspace client && npm run --silent test --workspace client
	@exec pytest -m clients $(ARGS) tests/js

audits: $(DEV) $(AUDITS)
	@exec pytest -m audits $(ARGS) tests/audits

fuzz: $(DEV)
	@exec pytest -n 2 -m fuzz $(ARGS) tests/fuzz

schemathesis: $(DEV)
	@exec pytest -n 2 -m schemathesis $(ARGS) tests/fuzz

# They wait more than they work.
faults: $(DEV)
	@exec pytest -n 3 --dist worksteal -m faults $(ARGS) tests/faults

bench: $(DEV) $(POSTGRAPHILE)
	@exec python -m bench $(ARGS)

bench-smoke: $(DEV)
	@exec pytest $(PROCESSES) -m bench $(ARGS) tests/bench

ratios: $(DEV)
	@exec python -m bench ratios

release: $(DEV) frontend
	@exec .ci/release

lock: $(DEV)
	$(COMPILE) --all-extras pyproject.toml -o requirements-dev.lock
	$(COMPILE) --extra frontend --extra build --extra embedded --extra bucket --extra otlp --constraints requirements-dev.lock pyproject.toml -o requirements.lock

clean:
	rm -rf .venv frontend/node_modules frontend/client/src/generated frontend/client/dist tests/relay/node_modules tests/js/node_modules tests/audits/node_modules tests/oidc/node_modules bench/rivals/postgraphile/node_modules gql_server/static build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reset:
	@if pid=$$(head -n 1 "$(DATA)/postgres/postmaster.pid" 2>/dev/null) && kill -0 $$pid 2>/dev/null; then \
		echo 'gql-server is still running: stop it first' >&2; exit 1; fi
	rm -rf "$(DATA)"/postgres "$(DATA)"/postgres.* "$(DATA)"/jwt_secret
	@rmdir "$(DATA)" 2>/dev/null || true

# Setting up: each step once, again when its inputs change.

$(VENV):
	$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@PATH="$(SYSTEM_PATH)"; "$(PYTHON)" -c 'import ensurepip, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo '$(NO_PYTHON)' >&2; exit 1; }
	@echo 'Setting up (once):'
	@echo '  virtual environment .venv'
	@PATH="$(SYSTEM_PATH)"; "$(PYTHON)" -m venv --clear .venv
	@touch $@

$(RUNTIME): $(VENV) requirements.lock pyproject.toml
	@echo '  Python packages, PostgreSQL and Node (about 150 MB, half a minute)'
	@$(INSTALL) requirements.lock
	@$(INSTALL_SELF)
	@touch $@

$(DEV): $(VENV) requirements-dev.lock pyproject.toml
	@echo '  Python packages, PostgreSQL, Node and the development tools (about 250 MB, a minute)'
	@$(INSTALL) requirements-dev.lock
	@$(INSTALL_SELF)
	@touch $(RUNTIME) $@

$(MODULES): $(addsuffix /package.json,$(WORKSPACES)) frontend/package-lock.json frontend/.npmrc | $(RUNTIME)
	@echo '  JavaScript packages'
	@cd frontend && npm ci --silent
	@touch $@

$(RELAY): tests/relay/package.json tests/relay/package-lock.json tests/relay/.npmrc | $(RUNTIME)
	@echo '  Relay compiler and graphql-eslint'
	@cd tests/relay && npm ci --silent
	@touch $@

$(CLIENTS): tests/js/package.json tests/js/package-lock.json tests/js/.npmrc | $(RUNTIME)
	@echo '  graphql-ws, graphql-sse and urql'
	@cd tests/js && npm ci --silent
	@touch $@

$(AUDITS): tests/audits/package.json tests/audits/package-lock.json tests/audits/.npmrc | $(RUNTIME)
	@echo '  graphql-http'
	@cd tests/audits && npm ci --silent
	@touch $@

$(IDENTITY): tests/oidc/package.json tests/oidc/package-lock.json tests/oidc/.npmrc | $(RUNTIME)
	@echo '  oidc-provider'
	@cd tests/oidc && npm ci --silent
	@touch $@

$(POSTGRAPHILE): bench/rivals/postgraphile/package.json bench/rivals/postgraphile/package-lock.json bench/rivals/postgraphile/.npmrc | $(RUNTIME)
	@echo '  PostGraphile'
	@if (cd bench/rivals/postgraphile && npm ci --silent); then touch $@; \
		else echo '  PostGraphile was not installed; the graph is measured without it. Again: make bench'; fi

# Tolerant, and tried once: without the page the API still serves, and a second `make run` must be quick.
$(PAGE): $(PAGE_SOURCES) | $(RUNTIME)
	@echo '  The operations console and GraphiQL (half a minute)'
	@$(MAKE) frontend >.venv/frontend.log 2>&1 \
		|| echo '  The pages were not all built (see .venv/frontend.log); the API serves without them. Again: make frontend'
	@touch $@
