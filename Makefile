# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
comma := ,
export HF_HUB_DISABLE_TELEMETRY = 1
# Empty: cache the compiled modules, even if the environment forbids it. The tests start hundreds of processes, and pip
# does not compile the packages, most modules of which are never imported.
export PYTHONDONTWRITEBYTECODE =
# Where the tests write: in memory if there are 4 GB for it, because every training waits until its files are on disk.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')
# The order is that of tests/conftest.py, the slow folders first.
PYTEST := PYTEST_DEBUG_TEMPROOT=$(MEMORY) $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test check types tests coverage bench bench-quality clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("bertune needs Python 3.11 or newer; say: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,dev]'
	@touch $(STAMP)

demo: RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)
demo: $(STAMP)  ## train on the packaged texts with the packaged encoder, score it, predict three sentences
	$(BIN)/bertune train demo --out $(RUN)
	@printf '%s\n' \
	  'the street lamp outside number 9 has been flickering for a week' \
	  'bins were not emptied again and the bags are all over the pavement' \
	  'can somebody please fix the swing, my daughter nearly fell off' \
	  | $(BIN)/bertune predict $(RUN) -
	@echo "report: $(RUN)/report/index.html"

# mypy runs at the same time as the tests, which often wait for the processes they start.
test: check  ## lint, types, tests
	$(MAKE) --no-print-directory --jobs 2 types tests

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy --num-workers auto

tests: $(STAMP)
	$(PYTEST)

coverage: $(STAMP)  ## lines and branches of src that the tests run; the figures exclude commands in processes of their own
	$(PYTEST) --cov=bertune --cov-branch --cov-report=term-missing:skip-covered

bench: $(STAMP)  ## speed and memory beside peers, about 40 minutes on two cores; ONLY=cola,mrpc selects, ROUNDS=3 is shorter
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,dev,bench]'
	$(BIN)/python benchmarks/run.py $(if $(ONLY),--only $(subst $(comma), ,$(ONLY))) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-quality: $(STAMP)  ## both sides, three seeds by default; about an hour on two cores
	$(BIN)/python benchmarks/quality.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
