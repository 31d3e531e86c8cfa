# Every target sets up .venv by itself: Python 3.11, make and a network that reaches PyPI are enough.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST := .venv-lowest
RAY := .venv-ray
# Another version of torch than the lowest one allowed, where that is not available: make lowest TORCH=2.13.0
TORCH ?=
# Bytecode is made by all cores at once afterwards; pip makes it on one.
PIP := --quiet --disable-pip-version-check --no-compile
# A process per core, each on one thread: tests are too small to share theirs between cores.
PARALLEL := OMP_NUM_THREADS=1
# What make lowest tests.
TESTS ?= tests

.PHONY: help setup demo test check format hooks docs slow slurm-test ray-test lowest clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Install everything into .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "contested needs Python 3.11 or newer; give one with: make $(MAKECMDGOALS) PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP) --constraint constraints.txt torch
	$(BIN)/python -m pip install $(PIP) --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 -x 'site-packages/.*/tests/' $(VENV)/lib src || \
		echo "Files of other Python versions among the packages stay as they are."
	@touch $@

demo: $(READY) ## Embedded data and encoder: LoRA and full fine-tuning, tables, figures, report.html
	$(BIN)/contested demo --out contested-demo

test: $(READY) ## The tests (slow, gpu and network ones are opt-in)
	$(PARALLEL) $(BIN)/python -m pytest --quiet --numprocesses auto --dist loadfile --no-loadscope-reorder

slow: $(READY) ## The slow tests as well
	$(BIN)/python -m pytest --quiet -m 'not gpu and not network and not cluster'

slurm-test: $(READY) ## A study on a real SLURM on this machine (as root; Debian: slurm-wlm and munge)
	$(PARALLEL) $(BIN)/python -m pytest --quiet -m cluster tests/cluster/test_slurm.py

ray-test: $(RAY)/.ready ## A study on a Ray cluster of two nodes on this machine, of which one is lost
	$(PARALLEL) $(RAY)/bin/python -m pytest --quiet -m cluster tests/cluster/test_ray.py

# Ray, and beneath it what .venv has.
$(RAY)/.ready: $(READY)
	test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> "$$($(RAY)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth"
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt ray
	@touch $@

check: $(READY) ## Format, lint, types, docstrings, import contracts, pages made from the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pydoclint --quiet --config=pyproject.toml src/contested
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/document.py --check

lowest: $(LOWEST)/.ready ## The tests against the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest --quiet $(TESTS)

$(LOWEST)/.ready: pyproject.toml scripts/lowest_constraints.py
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python scripts/lowest_constraints.py torch=$(TORCH) > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt \
		--editable '.[train]' krippendorff pingouin psutil pytest
	@touch $@

format: $(READY) ## Format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hooks: $(READY) ## Check before every commit
	$(BIN)/pre-commit install

docs: $(READY) build/gallery ## The site of the documentation into site/, its generated pages, links and commands
	$(BIN)/python scripts/document.py
	$(BIN)/python -m sphinx -W --keep-going -q -d site/.doctrees docs site
	$(BIN)/python -m pytest --quiet tests/test_docs.py tests/test_site.py tests/test_tutorials.py
	@if $(BIN)/python -c 'import socket; socket.create_connection(("arxiv.org", 443), 3)' 2>/dev/null; then \
		$(BIN)/python -m sphinx -b linkcheck -W -q -d site/.doctrees docs site/.links; \
	else \
		echo "No network: links to other sites were not checked."; \
	fi
	@echo "The site: site/index.html"

# The pages of docs/gallery.md, made once; make clean removes them.
build/gallery: $(READY)
	rm -rf build/gallery-runs build/gallery-made
	$(BIN)/contested demo --files --out build/gallery-runs/start
	$(BIN)/contested train build/gallery-runs/start/run.yaml --out build/gallery-runs/lora
	$(BIN)/contested train build/gallery-runs/start/run.yaml method=full training.learning_rate=1e-3 --out build/gallery-runs/full
	$(BIN)/contested map build/gallery-runs/start/votes.csv --out build/gallery-made/map
	$(BIN)/contested report build/gallery-runs/lora build/gallery-runs/full --out build/gallery-made/report
	$(BIN)/contested compare build/gallery-runs/lora build/gallery-runs/full --out build/gallery-made/compare
	mv build/gallery-made build/gallery

clean: ## Remove everything that make creates
	rm -rf $(VENV) $(LOWEST) $(RAY) contested-demo site build/gallery build/gallery-runs .mypy_cache .ruff_cache .pytest_cache
