# Upkeep is `make setup`, `make test` and `make docs` (CONTRIBUTING.md); `make demo` is the main job in small. Each makes
# .venv itself, and does nothing there if it is current.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
HNSCC := $(BIN)/hnscc

# Byte code is kept, wherever the environment says otherwise (container images do): else each of the hundred
# processes of the tests, Ray's too, compiles this repository anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup setup-cluster demo test types tests docs test-cluster chaos bench validity clean

setup: .venv/current

.venv/current: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: setup data/demo.zarr
	$(HNSCC) check studies/demo.yaml
	$(HNSCC) run studies/demo.yaml
	@echo 'Planned for (docs/explanation/results.md): of a pilot of 3 repeats, hnscc plan said that 16 patients with lesion'
	@echo 'and 3 repeats (3 to 6) see a difference of 0.1 between pet and pet_mri. What this study itself would see:'
	$(HNSCC) plan runs/demo --see 0.1

data/demo/manifest.csv: | setup
	$(HNSCC) phantom data/demo --patients 88

data/demo.zarr: data/demo/manifest.csv
	$(HNSCC) prepare data/demo/manifest.csv data/demo.zarr --size 48 --overwrite

# The quick checks first, then types and imports beside the tests.
test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 types tests

types:
	$(BIN)/deptry hnscc rayjobs data_prep
	$(BIN)/deptry tests tests/helpers tests/cluster --ignore DEP002,DEP004
	$(BIN)/mypy

# Three files of tests at a time, the longest first (tests/conftest.py): tests of Ray wait at times, and each process
# more collects all tests once more; what they all load of a fresh clone is compiled once before. Each computes on one
# core. `pytest` alone runs one file after the other, and those marked slow too.
tests:
	$(BIN)/python -m compileall -q hnscc rayjobs data_prep tests/helpers
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses 3 --dist loadfile --no-loadscope-reorder

# The pages of docs/reference/ that the program writes: settings, tables, commands, Python functions.
docs: setup
	$(BIN)/python -m hnscc.commands.docs

# What the cluster tests need beyond `make setup`: Ray's job server, sshd, an S3 server. Debian's packages, as root.
PACKAGES := openssh-server openssl procps rsync iproute2 radosgw ceph-mon ceph-osd ceph-common
PROGRAMS := /usr/sbin/sshd openssl ps rsync ip ss radosgw ceph-mon ceph-osd ceph

setup-cluster: .venv/cluster
	($(foreach program,$(PROGRAMS),command -v $(program) &&) true) >/dev/null || (apt-get update -qq && apt-get install -y -qq $(PACKAGES))

.venv/cluster: .venv/current
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,cluster]'
	touch $@

# The slow tests that `make test` leaves out, most of them whole studies on Ray; then real hosts, a real S3 server and
# kills, on this machine: network namespaces, so as root, on Linux.
test-cluster: setup-cluster
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow --numprocesses 2 --dist loadfile
	$(BIN)/pytest tests/cluster

# Hundreds of kills; an hour on 2 cores.
chaos: setup-cluster
	$(BIN)/python tests/cluster/chaos.py

# Time and peak memory of the demo's study, from its store to its report; then every benchmark, which takes hours, to
# docs/benchmarks.md, and the long form of `make validity`. Some only: .venv/bin/python benchmarks/all.py NAMES
bench: setup data/demo.zarr
	rm -rf runs/bench
	$(BIN)/python benchmarks/measure.py $(HNSCC) run studies/demo.yaml --out runs/bench
	$(BIN)/python benchmarks/all.py
	$(BIN)/python benchmarks/validity.py --studies 40000

# Simulated studies: do the intervals cover, do the tests keep their level? About ten minutes on one core.
validity: setup
	$(BIN)/python benchmarks/validity.py --page docs/explanation/validity.md

clean:
	rm -rf .venv data/demo data/demo.zarr runs/demo runs/bench
