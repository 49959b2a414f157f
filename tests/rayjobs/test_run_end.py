"""What a command says at its end of the trials of a run folder."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest
from run_folders import random_run, small_study
from trained_runs import trained_run

from hnscc.aggregation.build import write_tables
from hnscc.base.errors import InputError
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.in_use import writing_tables
from hnscc.training.ready import make_run_ready
from rayjobs.run_end import RunEnd, refuse_moved, run_end_of, tell_run_end
from rayjobs.study import run_study


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


def test_tables_that_another_process_is_making_again_are_waited_for(trained, tmp_path, capsys):
    """The run ended with exit code 2, and said that the tables are not all of one time."""
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    write_tables(run)
    last = run.table("trials")
    with ThreadPoolExecutor() as beside:
        with writing_tables(run):
            content = last.read_bytes()
            last.unlink()
            told = beside.submit(tell_run_end, RunEnd(run, {"pet-f0-r00"}, 0, {}, [], False))
            with pytest.raises(TimeoutError):
                told.result(timeout=0.5)
            last.write_bytes(content)
        assert told.result() == 0


def test_a_run_folder_that_was_moved_meanwhile_is_told(trained, tmp_path):
    """It was said that there is no such study file, and to check the path."""
    refuse_moved(trained)
    with pytest.raises(InputError, match="moved or deleted") as told:
        refuse_moved(RunFolder(tmp_path))
    assert told.value.where == str(tmp_path)


@pytest.mark.slow
def test_a_damaged_file_of_a_fold_is_told_once_where_it_is_written_again(trained, tmp_path, capsys):
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    file, told = run.fold(0).truth, "folds/f0: damaged or gone, and written again: truth.npz\n"
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    run_study(load_study(run.study), run.root, None, 0)
    assert file.read_bytes() == whole and capsys.readouterr().err == told
    run_study(load_study(run.study), run.root, None, 0)
    assert capsys.readouterr().err == ""


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


@pytest.mark.parametrize(
    ("completed", "missing", "told"),
    [
        ({"pet-f0-r00"}, 0, ["next:   open "]),
        ({"pet-f0-r00"}, 3, ["next:   the same command, which trains what is missing", "then:   open "]),
        (set(), 4, ["next:   the same command, which trains what is missing"]),
    ],
)
def test_what_to_do_next_is_to_train_what_is_missing(trained, capsys, completed, missing, told):
    """After `--limit` it was to open a report of some trials, or of none."""
    run = RunFolder(trained.root)
    assert tell_run_end(RunEnd(run, completed, missing, {}, [], False)) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("next:", "then:"))]
    assert len(lines) == len(told)
    assert all(line.startswith(each) for line, each in zip(lines, told, strict=True))
