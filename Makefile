# pixtrack: `make eval` and `make test` do everything on a fresh machine; `make help` lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Where PyTorch's own CPU wheels are: asked only if the configured package registry has none.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
# cpu, cuda or none (a vendor's own vLLM: name its interpreter in PIXTRACK_VLLM_PYTHON).
EXTRA ?= $(shell if command -v ixsmi >/dev/null 2>&1; then echo none; elif command -v nvidia-smi >/dev/null 2>&1; then echo cuda; else echo cpu; fi)

DATASET ?= sample
MODEL ?=
PROMPT ?=
LIMIT ?=
ARGS ?=
RUNS ?=
STUDY ?= sample_models
PREFECT_PORT ?= 4200
# How many processes share the tests: most of a test's time goes into waiting for a server.
PROCESSES ?= $(shell [ "$$(nproc 2>/dev/null || echo 1)" -ge 2 ] && echo 2 || echo 0)

# Names are data: the recipes see them as shell variables, so that neither make nor the shell runs
# what may stand in one. (ARGS is different: it is part of the command line, as it is typed.)
define literal
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,DATASET MODEL PROMPT LIMIT RUNS STUDY PREFECT_PORT,$(eval $(call literal,$(name))))

export PIXTRACK_HOME ?= $(CURDIR)/data
# Where it is set, as in many images, every start would compile all of Prefect, MLflow and vLLM anew
# (uv installs no bytecode): 2 to 15 s each.
unexport PYTHONDONTWRITEBYTECODE
PREFECT_PORT ?= 4200

.PHONY: help setup eval study compare test check lint bench chaos mutants ui ui-all deploy worker docs lock screenshots clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make .venv with everything that this machine needs

$(VENV)/.ready: pyproject.toml .ci/setup.py $(wildcard constraints/*.txt)
	@$(PYTHON) .ci/setup.py --venv $(VENV) --extra "$(EXTRA)" --torch-index "$(TORCH_CPU_INDEX)" && touch $@

eval: setup ## Evaluate: DATASET= MODEL= PROMPT= LIMIT= (default: the small Pixtral on the sample)
	@$(BIN)/pixtrack eval --dataset "$$DATASET" $${MODEL:+--model "$$MODEL"} $${PROMPT:+--prompt "$$PROMPT"} $${LIMIT:+--limit "$$LIMIT"} $(ARGS)

study: setup ## Run a study: STUDY=NAME or a path to its file
	@$(BIN)/pixtrack study "$$STUDY" $(ARGS)

compare: setup ## Compare runs: RUNS="model@dataset model@dataset …"
	@set -f; $(BIN)/pixtrack compare $$RUNS $(ARGS)

check: setup ## What this machine can run, and whether MODEL= fits
	@$(BIN)/pixtrack check $${MODEL:+--model "$$MODEL"} $(ARGS)

test: $(VENV)/.docs-ready ## Run the tests (ARGS='-m "not engine"' for the quick ones; PROCESSES=0: one at a time)
	@$(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)

lint: setup ## Format, lint, types, import rules, and what Python the inference child needs
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@files=$$($(BIN)/python .ci/child_modules.py) && $(BIN)/vermin --quiet --no-tips --eval-annotations -t=3.10- --violations $$files

bench: setup ## Drive modes side by side on one engine (ARGS='--architecture pixtral-12b --weights dummy')
	@$(BIN)/python -m bench.drive_modes $(ARGS)

chaos: setup ## Faults at random moments of whole commands, and what they cost (ARGS='--faults 100 --seed 7')
	@$(BIN)/python -m bench.chaos $(ARGS)

mutants: setup ## Small changes that no test notices (ARGS="journal --sample 100"; minutes an area)
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python -m pip install -qq 'mutmut>=3.8,<4' $(if $(wildcard constraints/$(EXTRA).txt),-c constraints/$(EXTRA).txt)
	@$(BIN)/python -m bench.mutants $(ARGS)

ui: setup ## Open MLflow on the runs of this data home
	@$(BIN)/pixtrack ui $(ARGS)

ui-all: setup ## Open MLflow and Prefect
	@$(BIN)/pixtrack ui --all $(ARGS)

deploy: setup ## Start a Prefect server if none answers; create the work pool and all deployments
	@$(BIN)/pixtrack deploy --port "$$PREFECT_PORT" $(ARGS)

worker: setup ## Run a worker for the deployments, in the foreground
	@exec $(BIN)/pixtrack worker --port "$$PREFECT_PORT"

docs: $(VENV)/.docs-ready ## Build the site into site/, strictly (ARGS=--site-dir=DIR elsewhere)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -q $(ARGS) && echo "docs: site/index.html"

$(VENV)/.docs-ready: $(VENV)/.ready
	@$(BIN)/python -c 'import material' 2>/dev/null || $(BIN)/python -m pip install -qq 'mkdocs-material>=9.5,<10' $(if $(wildcard constraints/$(EXTRA).txt),-c constraints/$(EXTRA).txt)
	@touch $@

lock: setup ## Resolve the constraints anew (needs uv)
	@for extra in cpu cuda; do \
	  { sed -n '1,2p' constraints/$$extra.txt; uv pip compile -q --python-version 3.11 $$([ $$extra = cpu ] && echo --extra-index-url $(TORCH_CPU_INDEX)) pyproject.toml --extra $$extra --extra dev --extra docs --no-annotate --no-header; } > constraints/$$extra.new \
	  && mv constraints/$$extra.new constraints/$$extra.txt || exit 1; done

screenshots: setup ## Make the README's pictures from a real run (needs Chromium)
	@$(BIN)/python docs/screenshots.py

clean: ## Remove .venv and caches; the data home stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
