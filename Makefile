# Two commands: `make demo` and `make test`. Both make .venv themselves, and do nothing there if it is current.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
HNSCC := $(BIN)/hnscc

.PHONY: setup demo test bench clean

setup: .venv/current

.venv/current: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: setup data/demo.zarr
	$(HNSCC) check studies/demo.yaml
	$(HNSCC) run studies/demo.yaml

data/demo/manifest.csv: | setup
	$(HNSCC) phantom data/demo

data/demo.zarr: data/demo/manifest.csv
	$(HNSCC) prepare data/demo/manifest.csv data/demo.zarr --size 64 --overwrite

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest

# Time and peak memory of the demo's study, from its store to its report.
bench: setup data/demo.zarr
	rm -rf runs/bench
	$(BIN)/python benchmarks/measure.py $(HNSCC) run studies/demo.yaml --out runs/bench

clean:
	rm -rf .venv data/demo data/demo.zarr runs/demo runs/bench
