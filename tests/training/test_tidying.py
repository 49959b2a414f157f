"""What the end of a trial or a run deletes, and what it leaves to the process that is writing it."""

import threading

import pytest

from hnscc.base.locks import locked
from hnscc.study.run_folder import RunFolder
from hnscc.training import in_use
from hnscc.training.in_use import writing_tables
from hnscc.training.tidying import tidy, tidy_run


def test_the_end_of_a_run_leaves_what_an_aggregation_beside_it_is_writing(tmp_path, monkeypatch):
    """It deleted the half-written table of a living process, which then ended in FileNotFoundError."""
    run, asked = RunFolder(tmp_path / "run"), threading.Event()
    half = run.table("pooled").with_name(".pooled.parquet.0123456789abcdef.tmp")

    def noted(path, **how):
        asked.set()
        return locked(path, **how)

    with writing_tables(run):
        half.parent.mkdir()
        half.write_bytes(b"being written")
        monkeypatch.setattr(in_use, "locked", noted)
        tidying = threading.Thread(target=tidy_run, args=(run, set()))
        tidying.start()
        while tidying.is_alive() and not asked.wait(timeout=0.01):
            pass
        assert half.exists()
    tidying.join()
    assert not half.exists(), "nobody writes it any more"


HALF = ".{}.0123456789abcdef.tmp"


def written(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def files_of(root):
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("more", [[], ["checkpoint/.nfs0000000000a1b2c3"]])
def test_a_trained_trial_keeps_what_its_record_names(tmp_path, more):
    """A process that was taken for lost still has the folder of the checkpoints open, or it goes, too."""
    trial = RunFolder(tmp_path).trial("pet-f0-r00")
    slots = [path for slot in trial.slots for path in (slot.facts, slot.tensors)]
    half = [folder / HALF.format("slot-0.json") for folder in (trial.root, trial.checkpoint)]
    written(trial.record, trial.weights, *map(trial.file, more))
    for left in (slots + half, half[:1]):  # then there is no folder of checkpoints any more
        written(*left)
        tidy(trial)
        assert files_of(trial.root) == {
            *("record.json", "weights.safetensors", *more),
            *(["checkpoint"] if more else []),
        }


def test_the_end_of_a_run_keeps_checkpoints_of_trials_that_are_not_completed(tmp_path):
    run = RunFolder(tmp_path)
    done, other = (run.trial(f"pet-f0-r0{repeat}") for repeat in (0, 1))
    for trial in (done, other):
        written(trial.root / "notes.txt", trial.slot(0).facts, trial.slot(1).tensors)
        written(trial.file(HALF.format("record.json")))
    written(run.proof("machine"), run.fold(0).split, run.fold(0).root / HALF.format("split.json"))
    tidy_run(run, {"pet-f0-r00"})
    assert files_of(tmp_path) == {
        *(".tables.lock", "folds", "folds/f0", "folds/f0/split.json", "trials"),
        *("trials/pet-f0-r00", "trials/pet-f0-r00/notes.txt"),
        *("trials/pet-f0-r01", "trials/pet-f0-r01/notes.txt", "trials/pet-f0-r01/checkpoint"),
        *("trials/pet-f0-r01/checkpoint/slot-0.json", "trials/pet-f0-r01/checkpoint/slot-1.safetensors"),
    }
