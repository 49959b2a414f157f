"""The memory of a machine that another program fills: Ray ends the trainings there, and the study goes on."""

import sys
import threading
import time
from pathlib import Path

import processes
import pytest
import yaml
from stores import make_store, study_of

from hnscc.study.run_folder import RunFolder
from hnscc.training.records import newest_facts, read_record

# Bytes: what the study may take beside what is taken already, a step of the other program, and what is left to others.
MARGIN, PIECE, SPARE = 5 << 30, 256 << 20, 7 << 30


@pytest.mark.skipif(sys.platform != "linux", reason="Ray watches memory on Linux alone")
def test_a_study_goes_on_once_another_program_gives_memory_back(home, tmp_path):
    """Ray's own monitor, told to act above what is in use; then a list that fills the memory until it has acted."""
    total, available = memory()
    if available < MARGIN + SPARE:
        pytest.skip(f"it asks for 12 GiB of memory, and {available / 2**30:.0f} are available")
    threshold = (total - available + MARGIN) / total
    store = make_store(tmp_path / "store", patients=12)
    study = tmp_path / "study.yaml"
    settings = study_of(store.location, training={"epochs": 400, "patience": 400}, repeats=1)
    study.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    environment = {"RAY_memory_usage_threshold": f"{threshold:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    process = processes.start(
        home, "rayjobs.study", study, "--out", tmp_path / "run", environment=environment
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout))
    reader.start()
    folders = RunFolder(tmp_path / "run")
    trial = folders.trial("pet-f0-r00")
    try:
        _until(lambda: (saved := newest_facts(trial)) and saved.epoch >= 2, process, said)
        taken: list[bytearray] = []

        def told():
            _fill(taken, available - MARGIN)
            return any("memory was full" in line for line in list(said))

        _until(told, process, said)
        taken.clear()
        assert process.wait(timeout=300) == 0, "".join(said)
    finally:
        process.kill()
        process.wait()
        reader.join()
        error = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert "2 trials completed, 0 failed, 0 missing" in "".join(said), error
    attempts = [len(read_record(folder).attempts) for folder in folders.recorded]
    assert len(attempts) == 2 and max(attempts) > 1, "no training was ended"


def _fill(taken, threshold):
    """Take a piece more where half a GiB less than `threshold` bytes, or more, are available: then Ray must act."""
    if memory()[1] > threshold - (1 << 29):
        taken.append(bytearray(b"1") * PIECE)


def memory():
    """Bytes of this machine, and those that are available, as Ray's monitor reads them on Linux."""
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return tuple(1024 * int(facts[name].split()[0]) for name in ("MemTotal", "MemAvailable"))


def _until(holds, process, said, seconds=200):
    end = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None and time.monotonic() < end, "".join(said)
        time.sleep(0.1)
