# k2conn: `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps say what was installed last; a second call of a target finds them and goes straight on.
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
INSTALLED_LAKE := $(VENV)/.installed-lake

# Images and services often set it; without compiled files every process that the tests start compiles all of k2conn.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-all test test-deploy certify connect coverage lint servers bench fuzz fuzz-long lock digests sbom site site-version pictures wheels wheels-all clean python java postgres atheris

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# What comes after ingestion needs the extra of the lake, which takes longer to install than all the rest.
demo: $(if $(filter storage query all,$(SECTION)),$(INSTALLED_LAKE),$(INSTALLED)) ## exchanges on this machine, through connectors, to the screen; no Kafka, no network; SECTION=
	@$(BIN)/k2conn demo $(if $(SECTION),--section $(SECTION))

demo-all: $(INSTALLED_LAKE) ## the same, and on: into a lake, asked by SQL, a chart of the prices
	@$(BIN)/k2conn demo --section all

# mypy needs one core; meanwhile others fetch the servers, and compile the tests, which in a fresh checkout each of the
# processes that run them would do by itself. What fails there is told by the tests, too.
COMPILE_TESTS := $(BIN)/python -m pytest --collect-only -qq
test: java postgres $(INSTALLED_TEST) ## ruff, mypy, then the tests, against a real Kafka broker and schema registry
	@{ [ "$$K2CONN_SKIP_KAFKA" = 1 ] || $(BIN)/python -m tests.servers --fetch; } & \
	  $(COMPILE_TESTS) tests/unit >/dev/null 2>&1 & $(COMPILE_TESTS) --ignore=tests/unit >/dev/null 2>&1 & \
	  $(MAKE) --no-print-directory lint; judged=$$?; wait; exit $$judged
	@$(BIN)/python -m pytest -n auto

test-deploy: java postgres $(INSTALLED_TEST) ## the heavy tests, also against large servers of others, which are downloaded first
	@$(BIN)/python release/install.py deploy
	@$(BIN)/python -m pytest -m deploy -n 3

# Most of the time nothing happens: a venue is silent until the connector notices.
certify: $(INSTALLED) ## every shipped connector against a mock that misbehaves, read back from files; AT_ONCE= (4)
	@mkdir -p build
	@$(BIN)/k2conn certify all --at-once $(or $(AT_ONCE),4) --duration 15s --rate 20 \
	  --report build/certify.json --report build/certify.html

connect: java ## deploy/connect/build: Kafka Connect with Iceberg's sink, by checksum, and the transform for it
	@deploy/connect/fetch

# The tests that measure speed are left out: counting the lines is slow. So is the rest, and one that misses its time
# for it does not make the table wrong.
coverage: java postgres $(INSTALLED_TEST) ## which lines the tests reach, by room; takes about twice the time of the tests
	@rm -f .coverage .coverage.*
	-@$(BIN)/python -m coverage run -m pytest -n auto -m 'not alone and not deploy'
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m tests.coverage_by_room

lint: $(INSTALLED_TEST) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

servers: java $(INSTALLED_TEST) ## a Kafka broker and a schema registry until Ctrl-C; prints their addresses
	@$(BIN)/python -m tests.servers

bench: java $(INSTALLED_TEST) ## the benchmarks
	-@test -x $(BIN)/py-spy || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m benchmarks

lock: $(INSTALLED_TEST) ## what the images are made of, by hash, brought up to date: requirements*.lock
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@$(BIN)/python -m release.lock

digests: python ## the digest behind each image's tag, into Dockerfile and docker-compose.yml; asks the registry
	@$(PYTHON) -m release.pin_images

sbom: $(INSTALLED_TEST) ## dist/k2conn.cdx.json: the packages of the image as a CycloneDX document
	@$(BIN)/python -m release.sbom

site: $(INSTALLED_TEST) ## build/site: the documentation as a site, strictly: a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

site-version: $(INSTALLED_TEST) ## that site as the version of pyproject.toml, beside older ones, on the branch gh-pages; pushes nothing
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[site]'
	@PATH="$(CURDIR)/$(BIN):$$PATH" NO_MKDOCS_2_WARNING=1 $(BIN)/mike deploy --update-aliases \
	  "$$($(BIN)/k2conn --version | sed 's/k2conn //; s/\.[0-9]*$$//')" latest
	@$(BIN)/mike set-default latest

pictures: $(INSTALLED_TEST) ## the README's moving picture and badges, and the gallery of connectors, made anew
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[pictures]'
	@$(BIN)/python -m release.pictures && $(BIN)/python -m release.badges && $(BIN)/python -m release.gallery

wheels: $(INSTALLED_TEST) ## dist/: an sdist, and a wheel with the part in C for this system and this Python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@$(BIN)/python -m release.wheels

wheels-all: $(INSTALLED_TEST) ## dist/: wheels with the part in C for Linux and macOS, each processor and each Python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@$(BIN)/python -m release.platform_wheels

# TARGET names some of the targets (`python -m tests.fuzz --list`), EXECUTIONS and SECONDS say how long each of them runs.
fuzz: $(INSTALLED_TEST) atheris ## each reader of foreign input with odd inputs for five seconds; TARGET=, EXECUTIONS=, SECONDS=
	@$(BIN)/python -m tests.fuzz $(TARGET) $(if $(EXECUTIONS),--executions $(EXECUTIONS)) $(if $(SECONDS),--seconds $(SECONDS))

fuzz-long: $(INSTALLED_TEST) atheris ## the same for hours: 10^8 executions of the C part, 10^6 of each reader in Python
	@$(BIN)/python -m tests.fuzz.long $(TARGET)

clean: ## remove the environment, the caches and the builds; the downloaded servers stay
	rm -rf $(VENV) .fuzz build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The package is installed editable: a change of the source needs no new install, one of pyproject.toml does.
$(INSTALLED): pyproject.toml | python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing k2conn into $(VENV)"
	@$(BIN)/python release/install.py
	@touch $@

$(INSTALLED_TEST): pyproject.toml | python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing k2conn and what its tests need into $(VENV)"
	@$(BIN)/python release/install.py test
	@touch $@ $(INSTALLED) $(INSTALLED_LAKE)

$(INSTALLED_LAKE): pyproject.toml | $(INSTALLED)
	@echo "installing what the lake needs into $(VENV): about 360 MB"
	@$(BIN)/python release/install.py lake
	@touch $@

atheris: | $(INSTALLED_TEST)
	-@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'

# Prerequisites are named, with the way to install them, before anything else happens.
python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: $(PYTHON) is missing. Python 3.11 or newer is needed: apt-get install python3 python3-venv," \
	       "or brew install python; or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $$($(PYTHON) --version) is too old. Python 3.11 or newer is needed: apt-get install python3.11" \
	       "python3.11-venv, or brew install python; or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }

# PostgreSQL comes from the machine's packages; who may not install it, or has no apt-get, is told what is missing.
postgres: python
	@$(PYTHON) -m tests.servers --check-postgres 2>/dev/null || { \
	  [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && echo "installing postgresql" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } || true
	@$(PYTHON) -m tests.servers --check-postgres

# The script reads the source tree directly: it runs before anything is installed.
java: python
	@$(PYTHON) -m tests.servers --check
