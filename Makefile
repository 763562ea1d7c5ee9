# Two commands for a machine that has only Python 3.11, make and pip:
#   make demo   sample data, a checkpoint pretrained on it, the whole suite at smoke size, a page
#   make test   the tests
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# venv without pip needs no ensurepip, which Debian packs apart; the system's pip then installs into it.
INSTALL := $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --disable-pip-version-check --no-deps

.PHONY: demo test test-slurm test-browser test-slow perf lint types imports check clean

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(RUN) || $(PYTHON) -m venv --without-pip $(VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	$(INSTALL) -r requirements-dev.lock
	touch $@

demo: $(VENV)/installed
	$(RUN) -m harness data sample --data data/sample
	$(RUN) -m harness pretrain --executor local --profile smoke --data data/sample --workspace work_dirs --out work_dirs/demo.pth
	$(RUN) -m harness run --executor local --ckpt work_dirs/demo.pth --suite all --profile smoke --data data/sample --workspace work_dirs
	@echo "The pages: work_dirs/pages/demo.md and work_dirs/pages/results.html"

test: $(VENV)/installed-dev
	$(RUN) -m pytest -m "not slow and not slurm and not browser" -n 2 --dist loadfile

# The real SLURM's packages: python -m tests.slurm.cluster install
test-slurm: $(VENV)/installed-dev
	$(RUN) -m pytest -m "slurm and not slow"

# Chromium is Debian's: apt-get install --no-install-recommends chromium
test-browser: $(VENV)/installed-dev
	$(RUN) -m pytest -m browser tests/results/pages/html

test-slow: $(VENV)/installed-dev
	$(RUN) -m pytest -m slow -s

perf: $(VENV)/installed-dev
	$(RUN) -m tests.perf

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/installed-dev
	$(RUN) -m mypy

imports: $(VENV)/installed-dev
	$(VENV)/bin/lint-imports

check: lint types imports test

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
