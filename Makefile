# VENV=path uses another environment, for a second clone say: torch alone is gigabytes.
VENV ?= .venv
PYTHON ?= python3
JOBS ?= 1
# What to install beside what everyone needs: EXTRAS=onnx for `cifar2 export`, EXTRAS=ssh for a DVC
# remote behind SSH, EXTRAS=cluster for `make zoo CLUSTER=...`; EXTRAS=onnx,ssh for two of them.
EXTRAS ?=
# Named after what is to be installed: made again when that changes, shared by clones that agree.
STAMP := $(VENV)/.cifar2-$(shell cat requirements*.txt constraints.txt pyproject.toml | cksum | cut -d ' ' -f 1)$(EXTRAS:%=-%)
# Stages call plain `python`, as in an activated environment.
RUN := PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: help setup lock repro zoo adopt page docs test test-unit lint bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: $(STAMP)  ## make $(VENV) and install what requirements.txt pins

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed (PYTHON=path)" >&2; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check -r requirements.txt -c constraints.txt -e .$(EXTRAS:%=[%])
	rm -f $(VENV)/.cifar2-*
	touch $@

# For every system at once; uv resolves, and installs nothing.
lock:  ## renew constraints.txt, the versions of all that requirements.txt brings with it
	$(PYTHON) -m venv .lock && .lock/bin/pip install --quiet uv
	.lock/bin/uv pip compile --quiet requirements*.txt --output-file constraints.txt \
	  --upgrade --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock"
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

docs: setup  ## bring the figures of README.md and docs/ up to date
	$(RUN) python -m pages.figures

test: setup  ## run the tests (PYTEST="-m slow": the slow ones)
	$(RUN) pytest $(PYTEST)

test-unit: setup  ## run the tests of the library alone (under a minute)
	$(RUN) pytest tests/unit

lint: setup  ## check style and types
	$(RUN) ruff format --check
	$(RUN) ruff check
	for system in linux darwin win32; do $(RUN) mypy --platform $$system || exit 1; done

bench: setup  ## measure the speed beside the chapter's own loop (BENCH="--models net --epochs 9")
	$(RUN) python -m bench $(BENCH)

clean:  ## remove data, models, snapshots and scratch (not DVC's cache, nor the environment)
	rm -rf data models/model.* plots/mistakes.png plots/surest.png dvc_plots .dvc/tmp/snapshots
	rm -rf zoo/data zoo/models zoo/settings zoo/dvc_plots zoo/.dvc/tmp/snapshots zoo/.dvc/tmp/zoo
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src stages tests bench zoo pages -name __pycache__ -exec rm -rf {} +
