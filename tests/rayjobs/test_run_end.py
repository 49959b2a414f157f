"""What a command says at its end of the trials of a run folder."""

import shutil

import pytest
from trained_runs import trained_run

from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.ready import make_run_ready
from rayjobs.run_end import run_end_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"), patients=9, folds=1, repeats=1)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_damaged_trial_that_was_not_trained_again_is_not_completed(trained, tmp_path, interrupted):
    """As after `--limit`, or an interrupt before its turn: its record alone would say that it is."""
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    file = run.trial("pet-f0-r00").predictions
    file.write_bytes(file.read_bytes()[:-40])
    ready = make_run_ready(load_study(run.study), run.root)
    left = ready.not_completed()
    assert [trial.trial_id for trial in left] == ["pet-f0-r00"]
    ended = run_end_of(ready, [], left, interrupted)
    assert "pet-f0-r00" not in ended.completed and len(ended.completed) == 1
    assert ended.missing == 1 and not ended.failed
