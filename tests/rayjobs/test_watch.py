"""A machine whose memory stays full ends the study: the machine is at fault, not what the user gave."""

import pytest
from ray.exceptions import OutOfMemoryError

import rayjobs.watch
from hnscc.base.errors import WorkerError
from rayjobs.watch import FULL_ROUNDS, FullMemory


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch):
    monkeypatch.setattr(rayjobs.watch, "FULL_SECONDS", 0.0)


def test_memory_that_stays_full_ends_the_study_with_exit_code_1():
    said, full = [], FullMemory()
    for _ in range(FULL_ROUNDS - 1):
        full.wait(OutOfMemoryError("a worker was ended\nmore"), [(False, 3)], said.append)
    assert len(said) == FULL_ROUNDS - 1
    with pytest.raises(WorkerError, match="The memory of a machine stays full") as ended:
        full.wait(OutOfMemoryError("a worker was ended\nmore"), [(False, 3)], said.append)
    assert ended.value.exit_code == 1
    assert ended.value.found == "a worker was ended"


def test_an_epoch_finished_in_between_counts_from_the_start():
    full = FullMemory()
    for epoch in range(3 * FULL_ROUNDS):
        full.wait(OutOfMemoryError("full"), [(False, epoch)], lambda text: None)
