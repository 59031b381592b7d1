# VENV=path uses another environment, for a second clone say: torch alone is gigabytes.
VENV ?= .venv
PYTHON ?= python3
JOBS ?= 1
# Extras of pyproject.toml: EXTRAS=onnx for `cifar2 export`, EXTRAS=ssh for a DVC remote behind SSH;
# EXTRAS=onnx,ssh for two of them. Targets that need one add it by themselves.
EXTRAS ?=
comma := ,
WANTED := base $(subst $(comma), ,$(EXTRAS)) $(if $(CLUSTER),cluster) \
  $(if $(filter test test-unit lint bench,$(MAKECMDGOALS)),dev) \
  $(if $(filter docs,$(MAKECMDGOALS)),notebook)
# The environment has a file for the base and for each extra that is installed. It is named after
# what was to be installed then, so that clones which agree on that can share an environment.
STAMP := $(VENV)/.cifar2-$(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)-
MISSING := $(sort $(filter-out $(patsubst $(STAMP)%,%,$(wildcard $(STAMP)*)),$(WANTED)))
# Another file says where the environment lay when it was made, and which clone is installed in it.
# The commands in a moved environment do not start. If only the clone was moved, install it again.
PLACES := $(VENV)/.cifar2
MOVED := $(shell { read -r venv; read -r clone; } 2>/dev/null < $(PLACES) && \
  if ! test "$$venv" -ef $(VENV); then echo venv; elif ! test -d "$$clone/src"; then echo clone; fi)
ifeq ($(MOVED),clone)
MISSING := $(sort $(WANTED))
endif
NEW_EXTRAS := $(subst $() $(),$(comma),$(filter-out base,$(MISSING)))
BASE := $(shell test -x $(VENV)/bin/python && echo $(VENV)/bin/python || echo $(PYTHON))
# Stages call plain `python`, as in an activated environment.
RUN := PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: help setup lock repro zoo adopt page docs test test-unit lint bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

# DVC needs a Git repository, and DVCLive one with a commit. GitHub's "Download ZIP" is none.
setup:  ## make $(VENV), and install what is missing there
	@said=$$(LC_ALL=C git rev-parse --verify HEAD 2>&1) || { case $$said in \
	  *dubious*) echo "$$said" ;; *"not found"*) echo "Git is not installed, and DVC needs it" ;; \
	  *) echo "DVC needs a Git repository with a commit: git clone," \
	    "or git init && git add . && git commit -m start" ;; esac >&2; exit 1; }
ifeq ($(MOVED),venv)
	@echo "$(VENV) was moved to this place: rm -r $(VENV), and type the command again" >&2; exit 1
else ifneq ($(MISSING),)
	@$(BASE) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' \
	  || { echo "$(BASE) is too old: $(VENV) needs Python 3.11.4 or newer (PYTHON=path)" >&2; exit 1; }
	@test -f $(VENV)/bin/activate && $(VENV)/bin/python -m pip --version >/dev/null 2>&1 \
	  || { $(BASE) -m venv $(VENV) && $(VENV)/bin/python -m pip --version >/dev/null; } \
	  || { echo "$(VENV) can't be made: rm -r $(VENV), and type the command again" >&2; exit 1; }
	@for stamp in $(VENV)/.cifar2-*; do case $$stamp in $(STAMP)*) ;; *) rm -f $$stamp ;; esac; done
	@printf '%s\n' "$(abspath $(VENV))" "$(CURDIR)" > $(PLACES)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt \
	  -e ".$(NEW_EXTRAS:%=[%])"
	@touch $(MISSING:%=$(STAMP)%)
endif

# For every system at once; uv resolves, and installs nothing.
lock:  ## renew constraints.txt, the versions of all that pyproject.toml brings with it
	$(PYTHON) -m venv .lock && .lock/bin/pip install --quiet uv
	.lock/bin/uv pip compile --quiet pyproject.toml --all-extras --output-file constraints.txt \
	  --upgrade --universal --python-version 3.11.4 --no-annotate --custom-compile-command "make lock"
	rm -r .lock

repro: setup  ## run the pipeline: download, filter, train, evaluate, plot
	$(RUN) dvc repro

zoo: setup  ## train what is not up to date (JOBS=2: two at once; CLUSTER=auto: on a Ray cluster)
	$(RUN) python -m zoo train --jobs $(JOBS) $(CLUSTER:%=--cluster %)

adopt: setup  ## keep the results when code changes, if it gives the same bytes (minutes)
	$(RUN) python -m zoo adopt

# DVC's page of plots, with the chart library in it.
page:  ## build .dvc/page.html from pages/plots.html
	$(PYTHON) -m venv .page && .page/bin/pip install --quiet vl-convert-python==1.9.0.post1
	.page/bin/python -m pages.plots
	rm -r .page

docs: setup  ## bring the results in README.md and docs/ up to date, and the notebook (minutes)
	$(RUN) python -m pages.results
	$(RUN) python -m pages.notebook

test: setup  ## run the tests (PYTEST="-m slow": the slow ones)
	$(RUN) pytest $(PYTEST)

test-unit: setup  ## run the tests of the library alone (under a minute)
	$(RUN) pytest tests/unit

lint: setup  ## check style and types
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy

bench: setup  ## measure the speed beside the chapter's own loop (BENCH="--models net --epochs 9")
	$(RUN) python -m bench $(BENCH)

clean:  ## remove data, models, snapshots and scratch (not DVC's cache, nor the environment)
	rm -rf data/raw data/cifar2 data/val.pt models/model.* plots/data.png plots/mistakes.png \
		plots/surest.png
	rm -rf dvc_plots .dvc/tmp/snapshots
	rm -rf zoo/data zoo/models zoo/settings zoo/dvc_plots zoo/.dvc/tmp/snapshots zoo/.dvc/tmp/zoo
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src stages tests bench zoo pages -name __pycache__ -exec rm -rf {} +
