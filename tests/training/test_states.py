"""What a trial's folder says where its files may not be read: nothing, since they may be whole."""

import pytest
from run_folders import random_run, small_study

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.training.records import read_record
from hnscc.training.states import Why, trial_state, with_weights

NOBODY_READS = (
    "/proc/self/clear_refs"  # written to alone: `Permission denied`, and root is told `Invalid argument`
)


@pytest.fixture
def trial(tmp_path):
    run = random_run(tmp_path, small_study(repeats=1))
    return run.trial("pet-f0-r00")


@pytest.mark.parametrize("judge", [read_record, trial_state, with_weights])
def test_a_record_that_may_not_be_read_is_no_damaged_one(trial, judge):
    """Of a colleague's umask, say: it was deleted, and the trial trained again."""
    trial.record.unlink()
    trial.record.symlink_to(NOBODY_READS)
    with pytest.raises(InputError) as caught:
        judge(trial)
    assert caught.value.problem == "A file may not be read."
    assert (caught.value.where, caught.value.expected.split(" that ")[0]) == (
        "trials/pet-f0-r00",
        "a file record.json",
    )


@pytest.mark.parametrize("name", ["record.json", "weights.safetensors", "history.parquet"])
def test_a_folder_in_a_files_place_is_none_that_the_trial_wrote(trial, name):
    path = trial.file(name)
    trial.weights.write_bytes(b"weights")
    path.unlink()
    path.mkdir()
    assert with_weights(trial) is None
    expected = {"record.json": "its record cannot be read"}
    found = expected.get(name, f"{name} cannot be read (IsADirectoryError)")
    assert trial_state(trial).reason == f"not used: {found}"
    assert (read_record(trial) is None) == (name == "record.json")


def test_a_record_must_vouch_for_each_file_that_tables_need(trial):
    record = read_sealed(trial.record)
    for name in ("history.parquet", "predictions.npz"):
        files = {each: digest for each, digest in record["files"].items() if each != name}
        write_sealed(trial.record, record | {"files": files})
        assert trial_state(trial).reason == f"not used: its record does not vouch for {name}"


def test_a_record_of_before_others_digest_had_that_name_is_read(trial):
    record = read_sealed(trial.record)
    assert "scored" not in record
    write_sealed(trial.record, record | {"scored": "of others"})
    assert trial_state(trial, others_digest="of others").completed.others_digest == "of others"
    assert trial_state(trial, others_digest="of more").why is Why.OTHER_SLICES


def test_predictions_that_may_not_be_read_are_no_damaged_ones(trial):
    trial.predictions.unlink()
    trial.predictions.symlink_to(NOBODY_READS)
    with pytest.raises(InputError, match="A file may not be read"):
        trial_state(trial)
    trial.predictions.unlink()
    trial.predictions.mkdir()
    assert trial_state(trial).unusable, "a folder in its place is none that the trial wrote"
