"""What is recorded of a trial whose training an error ends, and which errors are raised instead."""

import errno

import pytest
import torch
from small_trials import TRIAL
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.study.run_folder import RunFolder
from hnscc.training.boundary import begin, boundary
from hnscc.training.ready import Task, make_run_ready
from hnscc.training.records import OUT_OF_MEMORY, Attempt, read_record

FIRST, LATER = (Attempt(node="one", pid=1, gpus=0.5, from_epoch=epoch) for epoch in (1, 3))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    study = study_of(make_store(tmp_path_factory.mktemp("store")).location)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


def left_by(error, data, root, attempts):
    """The trial's record, None where there is none, after this error ended it."""
    task = Task(data[0], TRIAL, data[1], RunFolder(root).trial(TRIAL.trial_id), "cpu", "fp32")
    with boundary(task, begin(data[0], TRIAL, data[1].digest, device="cpu", precision="fp32"), attempts):
        raise error
    return read_record(task.folder)


@pytest.mark.parametrize("attempts", [[], [FIRST, LATER]])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no such number"), "ValueError"),
        (MemoryError("of the machine"), "MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory"), OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), OUT_OF_MEMORY),
    ],
)
def test_an_error_is_recorded_by_its_kind_and_ends_the_last_attempt(data, tmp_path, error, kind, attempts):
    record = left_by(error, data, tmp_path, [*attempts])
    assert (record.status, record.failure) == ("failed", kind)
    assert record.error.startswith("Traceback") and str(error) in record.error
    expected = [FIRST, LATER.model_copy(update={"ended": kind})] if attempts else []
    assert [*record.attempts] == expected


@pytest.mark.parametrize(
    "error", [torch.AcceleratorError("CUDA error: an illegal memory access"), KeyboardInterrupt()]
)
def test_what_is_not_the_trials_fault_is_raised_and_recorded_nowhere(data, tmp_path, error):
    """A process that lost its GPU must end: whatever trial came next would fail in it, too."""
    attempts = [FIRST]
    with pytest.raises(type(error)):
        left_by(error, data, tmp_path, attempts)
    assert not RunFolder(tmp_path).trial(TRIAL.trial_id).root.exists() and attempts == [FIRST]


@pytest.mark.parametrize(
    ("below", "inside"), [("trials", True), (f"trials/{TRIAL.trial_id}/file", True), ("other", False)]
)
def test_a_trials_folder_without_rights_ends_the_study_and_any_other_path_the_trial_alone(
    data, tmp_path, below, inside
):
    """Trial after trial was recorded as failed, as where a ticket has expired."""
    root = RunFolder(tmp_path).trial(TRIAL.trial_id).root
    error = PermissionError(errno.EACCES, "no rights", str(tmp_path / below))
    if not inside:
        assert left_by(error, data, tmp_path, []).failure == "PermissionError"
        return
    with pytest.raises(InputError, match="may not be read or written") as told:
        left_by(error, data, tmp_path, [])
    assert told.value.where == str(root) and not root.exists()
