# `make demo` and `make test` do all their own set-up; both are quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FACES ?= 2
DATA ?= data

# `make workbench` is where user studies are designed, answered and read.
.PHONY: setup demo workbench test lint api bench-tipim bench-panel bench-scale bench-gpu lock sbom audit fuzz clean

setup: $(VENV)/.ready

$(VENV)/.run: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.ready: $(VENV)/.run requirements-dev.txt
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@

# The page links to the workbench of `make workbench`.
demo: $(VENV)/.run
	LARVATUS_WORKBENCH=$${LARVATUS_WORKBENCH-http://127.0.0.1:8501} $(BIN)/python app.py

workbench: $(VENV)/.run
	$(BIN)/python -m streamlit run pages/workbench.py

# Three files of tests at a time, one core each: one of them waits for a browser. The browser test needs Chromium; where it cannot be installed that test says so and is skipped.
test: $(VENV)/.ready
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  (apt-get update -qq && apt-get install -y -qq chromium) >/dev/null 2>&1 || \
	  echo "Chromium could not be installed: the browser tests will be skipped."
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
	  (apt-get update -qq && apt-get install -y -qq postgresql) >/dev/null 2>&1 || \
	  echo "PostgreSQL could not be installed: its tests will be skipped."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# docs/api.md and the README's table of endpoints, from the endpoints themselves
api: $(VENV)/.ready
	$(BIN)/python -m app.demo.api_page

# Every package down to the last, with its hashes: pip install --require-hashes -r requirements.lock
lock: $(VENV)/.ready
	$(BIN)/python -m uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  requirements.txt -o requirements.lock

# Every package of the lock with its licence and hashes, as CycloneDX: sbom.json. The networks' hashes are in weights/registry.toml.
sbom: $(VENV)/.ready
	$(BIN)/python -m uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.lock -o sbom.json

# Known faults of the packages of the lock; asks the advisory database of the Python Package Index.
audit: $(VENV)/.ready
	$(BIN)/python -m uv tool run --from pip-audit==2.10.1 pip-audit --require-hashes --disable-pip -r requirements.lock

# Bytes made up by atheris, through the decoder of photos, the API's calls and a study's ZIP, for SECONDS.
SECONDS ?= 60
fuzz: $(VENV)/.ready
	$(BIN)/python -m tests.fuzz $(SECONDS)

bench-tipim: $(VENV)/.ready
	$(BIN)/python -m app bench tip-im-speed --faces $(FACES) --data $(DATA)

bench-panel: $(VENV)/.ready
	$(BIN)/python -m app bench panel

bench-scale: $(VENV)/.ready
	$(BIN)/python -m app bench scale

# Faces a second of every method and recogniser on the GPU, and what there is beside their networks.
bench-gpu: $(VENV)/.ready
	$(BIN)/python -m app bench throughput --device cuda

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
