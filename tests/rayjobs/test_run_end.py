"""What a command says at its end of the trials of a run folder."""

import shutil

import pyarrow.parquet as pq
import pytest
from run_folders import random_run, small_study
from trained_runs import trained_run

from hnscc.aggregation.build import write_tables
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.ready import make_run_ready
from rayjobs.run_end import RunEnd, run_end_of, tell_run_end


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"), patients=9, folds=1, repeats=1)


@pytest.mark.quick(1)
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


@pytest.mark.parametrize(
    ("repeats", "ends", "heading"),
    [
        (1, None, "median (quartiles or range)"),
        (2, ("min", "max"), "median (quartiles or range)"),
        (4, ("q25", "q75"), "median (quartiles)"),
    ],
)
def test_table_1_tells_how_far_repeats_spread_however_few(
    tmp_path, monkeypatch, capsys, repeats, ends, heading
):
    """Of 2 or 3 repeats it told the median alone, where the report tells the least and the most."""
    run = random_run(tmp_path, small_study(repeats=repeats))
    write_tables(run)
    assert tell_run_end(RunEnd(run, set(), 0, {}, [], False)) == 0
    out = capsys.readouterr().out
    (row,) = (
        each
        for each in pq.read_table(run.table("pooled")).to_pylist()
        if (each["split"], each["variant"]) == ("test", "pet")
    )
    middle = f"{row['dice_repeats_median']:.3f}"
    spread = [f"{row[f'dice_repeats_{end}']:.3f}" for end in ends or ()]
    told = f"{middle} ({' to '.join(spread)})" if ends else middle
    assert heading in out and f"│ {told} " in out
