# One command each; every target makes what it needs, once, in .venv.
# PYTHON=python3.12 picks another interpreter; DATA=path runs the main job on your own file.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= _run
DATA ?=
ARGS ?=
# The folder with .env and config of a project of pictures, which of its configurations, and where its pictures come
# from: the targets below `sync_collections` take all else from there.
PROJECT_DIR ?= .
MODE ?=
SOURCE ?=
METHOD ?=
MODEL ?=
# Processes that `make test` runs tests in: one more than there are cores, because tests wait for servers and browsers; 8
# at most, because each starts the servers that its tests need.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 7 ? n + 1 : 8)))
# pip reads these from the environment, for the packages and for what builds them.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Python keeps what it compiled, also where the shell says that it must not: each of the many processes of the tests
# would compile the package anew, and each of `make test` the tests.
unexport PYTHONDONTWRITEBYTECODE
# The embedded store stays in the clone here; without this it is the user data folder.
export OCO2_STORE ?= $(CURDIR)/_store
META := settings.ini setup.py pyproject.toml constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet

.PHONY: sync_collections populate_db sampling training exec_clustering facets posters config_template
.PHONY: help run stream-demo test test-heavy test-slow test-torch docs bench lab readme architecture metadata dist check lint style
.PHONY: clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make run           find the isolated soundings of a generated granule (DATA=path: of your file)"
	@echo "make stream-demo   readings from a historian by a broker to a table of verdicts (DATA=path: of your file)"
	@echo "make test          every notebook and test"
	@echo "make test-heavy    tests that kill servers, clusters and processes, and wait for them"
	@echo "make test-slow     the slow checks: large tables, whole grids, every page"
	@echo "make test-torch    what trains autoencoders; installs PyTorch"
	@echo "make docs          the site, in _build/html"
	@echo "make bench         speed and memory beside peers"
	@echo "make lab           JupyterLab on the notebooks"
	@echo "make readme        README.md from nbs/index.ipynb"
	@echo "make architecture  the list of rooms in docs/architecture.md, from the notebooks"
	@echo "make metadata      CITATION.cff, .zenodo.json, environment.yml and conda/meta.yaml, from settings.ini"
	@echo "make dist          wheel and source archive, in dist"
	@echo "make style         how the code is cut into cells, functions and modules, beside the goals"
	@echo "make check         notebooks clean, package in step with them, ruff, mypy"
	@echo "make sync_collections | populate_db | sampling | training | exec_clustering | facets | posters"
	@echo "                   the steps of a project of pictures in PROJECT_DIR, by its configuration of MODE"
	@echo "make clean         remove what was built (distclean: and .venv)"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "oco2_outliers needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "This Python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Each extra is installed once, and again only when the metadata or the pins change.
$(VENV)/.base: $(VENV)/.made $(META)
	@echo "Installing into $(VENV): once, about a minute"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing what the tests need: once"
	@$(INSTALL) -e ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@echo "Installing what the site needs: once"
	@$(INSTALL) -e ".[docs]"
	@touch $@

$(VENV)/.lab: $(VENV)/.base
	@echo "Installing JupyterLab: once"
	@$(INSTALL) -e ".[lab]"
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	@echo "Installing the packages to compare with: once"
	@$(INSTALL) -e ".[bench]"
	@touch $@

# Large, and needed by few tests: what `make test` runs must not import it.
$(VENV)/.torch: $(VENV)/.dev
	@echo "Installing PyTorch: once"
	@$(INSTALL) -e ".[torch]"
	@touch $@

run: $(VENV)/.base
ifeq ($(strip $(DATA)),)
	@$(BIN)/oco2-outliers soundings simulate granule.nc4
	@echo; echo "Looking for its isolated soundings (the first time the search engine is compiled: some 20 s)"; echo
	@$(BIN)/oco2-outliers isolate granule.nc4 --store "$$OCO2_STORE" --out "$(OUT)" $(ARGS)
else
	@$(BIN)/oco2-outliers isolate "$(DATA)" --out "$(OUT)" $(ARGS)
endif

stream-demo: $(VENV)/.base
	@$(BIN)/python scripts/stream_demo.py _stream $(DATA)

# The server that the store is tested against lives in an environment of its own, installed before the tests start.
$(VENV)/.swift: $(VENV)/.dev
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "tests"); from swift_server.launch import swift_python; swift_python()' \
	  && touch $@ || echo "OpenStack Swift cannot be installed here: its tests will be skipped" >&2

# The site is built by a test too: a page that breaks should not wait for `make docs`.
test: $(VENV)/.dev $(VENV)/.docs $(VENV)/.swift
	@$(BIN)/python tests/warm_up.py
	$(BIN)/python -m pytest -m "not slow and not heavy and not torch" -n $(JOBS) --dist worksteal $(ARGS)

# What `make test` leaves out so that it takes six minutes; CI runs both.
test-heavy: $(VENV)/.dev $(VENV)/.docs $(VENV)/.swift
	@$(BIN)/python tests/warm_up.py
	$(BIN)/python -m pytest -m "heavy and not slow" -n $(JOBS) --dist worksteal $(ARGS)

test-slow: $(VENV)/.dev $(VENV)/.docs $(VENV)/.swift
	$(BIN)/python -m pytest -m slow $(ARGS)

test-torch: $(VENV)/.torch
	$(BIN)/python -m pytest -m torch -n $(JOBS) --dist worksteal $(ARGS)

# The pages run every cell of a notebook, those of its tests too.
docs: $(VENV)/.dev $(VENV)/.docs
	@echo "Running every notebook for its page: some minutes the first time, seconds where nothing changed"
	@$(BIN)/python -m sphinx -W --keep-going -b html docs _build/html
	@echo "Open _build/html/index.html"

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

lab: $(VENV)/.lab
	@echo "JupyterLab opens in your browser; Ctrl-C here ends it"
	@$(BIN)/jupyter lab --notebook-dir nbs $(ARGS)

# The steps of the original project of pictures, under their names. Each reads config/config_MODE.yaml.
# METHOD=n2d takes another clustering of the configuration than the first, MODEL=simple_conv another net.
PROJECT = --project-dir "$(PROJECT_DIR)" $(if $(MODE),--mode "$(MODE)")
BY_METHOD = $(PROJECT) $(if $(METHOD),--method "$(METHOD)")
BY_MODEL = $(PROJECT) $(if $(MODEL),--model-type "$(MODEL)")
OCO2 = $(BIN)/oco2-outliers

sync_collections: $(VENV)/.base
	@test -n "$(SOURCE)" || { echo "Where do the pictures come from? Try: make sync_collections SOURCE=host:path" >&2; exit 2; }
	$(OCO2) images sync "$(SOURCE)" $(PROJECT)

populate_db: $(VENV)/.base
	$(OCO2) catalog init $(PROJECT)
	$(OCO2) catalog populate $(PROJECT)

sampling: $(VENV)/.base
	$(OCO2) images sample $(PROJECT) $(ARGS)

training: $(VENV)/.torch
	$(OCO2) images train-encoder $(BY_MODEL) $(ARGS)

exec_clustering: $(VENV)/.base
	$(OCO2) images encode $(BY_MODEL)
	$(OCO2) images odd $(PROJECT)
	$(OCO2) images cluster --figures $(BY_METHOD) $(ARGS)
	$(OCO2) images mosaics $(BY_METHOD)
	$(OCO2) catalog add $(BY_METHOD)

facets: $(VENV)/.base
	$(OCO2) images gallery $(PROJECT)

posters: $(VENV)/.base
	$(OCO2) images poster $(PROJECT) $(ARGS)

config_template: $(VENV)/.base
	$(OCO2) catalog config-template $(PROJECT) --out "$(PROJECT_DIR)/config/config.template.yaml"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

architecture: $(VENV)/.dev
	@$(BIN)/python scripts/architecture.py

metadata:
	@$(PYTHON) scripts/metadata.py $(ARGS)

# The wheel is made from the source archive, as a packager does; what a registry would say of both ends it.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

style: $(VENV)/.dev
	@$(BIN)/python scripts/style.py $(ARGS)

readme: $(VENV)/.docs
	$(BIN)/python docs/_ext/readme.py

check: $(VENV)/.dev
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_export
	git diff --exit-code -- nbs oco2_outliers
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf _build _docs _run _store _proc build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis docs/api.md
	@find docs -name '*.ipynb' -delete
	@find docs -type d -empty -delete

distclean: clean
	rm -rf $(VENV) $(VENV)-swift* $(VENV)-keystone*
