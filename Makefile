# One environment, made here from the pinned lock. Outside this folder are the caches of pip and Snakemake, and what
# `make slurm` and `make test-slurm` install with apt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := envs/requirements.lock
INSTALLED := $(VENV)/.installed
EDITABLE ?= --editable
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
# A process a core, each with one thread of its own: more would wait for each other. Files stay whole, for what their
# tests share is made once.
PARALLEL := OMP_NUM_THREADS=1 pytest --numprocesses $(CORES) --maxprocesses 8 --dist loadfile
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install link frozen demo test test-slow test-browser slurm test-slurm lint format manual lock picture clean

help: ## say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(INSTALLED) link ## make the environment, and the link that `snakemake --profile slurm` needs

link: # Snakemake looks for a profile in its caller's folder; a profile of one's own stays
	test -e slurm -o -L slurm || ln -s profiles/slurm slurm

# torch first and alone: with it in place nothing else asks the index for a build with CUDA.
$(INSTALLED): $(LOCK) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("phenoloom needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' $(LOCK))"
	$(BIN)/python -m pip install --quiet --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps $(EDITABLE) .
	touch $@

frozen: ## set up RUN=folder at COMMIT (default: HEAD) with an environment of its own, so that editing here touches none of its jobs
	@test -n "$(RUN)" || { echo "say where: make frozen RUN=../first-run [COMMIT=v0.1.0]"; exit 2; }
	git worktree add --detach "$(RUN)" $(or $(COMMIT),HEAD)
	cp -R config/. "$(RUN)/config/"
	$(MAKE) -C "$(RUN)" install EDITABLE= VENV=.venv
	@echo "Run there: cd $(RUN) && source .venv/bin/activate && snakemake --workflow-profile slurm"
	@echo "Later, to remove it: git worktree remove --force $(RUN)"

demo: install ## run the demo study to its report
	snakemake --cores $(CORES) --config 'studies=[demo]'
	@echo "Report: results/demo/report/index.html"

test: install ## pass the tests
	$(PARALLEL) -m "not slow and not browser and not slurm"

test-slow: install ## pass the tests that take minutes
	$(PARALLEL) -m slow

test-browser: install ## pass the tests of the report in Chromium
	pytest -m browser

SLURM := slurmctld slurmd slurm-client slurmdbd mariadb-server-core mariadb-client-core

slurm: ## install Debian's SLURM for the tests
	PATH="$$PATH:/usr/sbin"; for program in slurmctld slurmd sbatch slurmdbd mariadbd; do \
		command -v $$program >/dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SLURM) >/dev/null; break; }; \
	done

test-slurm: install slurm ## pass the tests on a real SLURM cluster, which they start and stop
	pytest -m slurm

lint: install ## check format, style, types, rules, the workflow, and who imports whom
	ruff format --check .
	ruff check .
	mypy
	snakefmt --check workflow
	snakemake --lint
	pytest -q tests/unit/test_floors.py

format: install ## format the code
	ruff format .
	ruff check --fix .
	snakefmt workflow

manual: install ## write the tables of config/README.md and the JSON schemas again
	phenoloom manual

lock: install ## write the pinned environments from what is installed
	$(BIN)/python envs/lock.py

picture: install ## draw the steps and the packages for the documentation (needs graphviz)
	snakemake --forceall --rulegraph --config 'studies=[demo]' -- results/index.html 2>/dev/null | tred | dot -Grankdir=LR -Tsvg > docs/rulegraph.svg
	$(BIN)/python docs/packages.py | tred | dot -Grankdir=LR -Tsvg > docs/packages.svg

clean: ## remove the environment and all results
	rm -rf $(VENV) results .snakemake
