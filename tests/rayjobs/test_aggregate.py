"""Tables and report are of the same trials, whatever ends `aggregate` or `report` halfway."""

import shutil

import pytest
from run_folders import random_run, small_study

from hnscc.aggregation.query import read_table
from hnscc.base.errors import InputError
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from rayjobs.aggregate import aggregate, report


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run folder with tables and report."""
    run = random_run(tmp_path_factory.mktemp("told"), small_study(repeats=2))
    aggregate(run)
    return run


@pytest.fixture
def run(told, tmp_path):
    return RunFolder(shutil.copytree(told.root, tmp_path / "run"))


def lose_a_trial(run: RunFolder) -> None:
    """The tables of then and of now are to differ."""
    shutil.rmtree(run.trial(trials_of(small_study(repeats=2))[0].trial_id).record.parent)


def completed(run: RunFolder) -> int:
    return read_table(run, "trials")["status"].to_pylist().count("completed")


def files_of(run: RunFolder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.root.rglob("*") if path.is_file()}


@pytest.mark.quick(1)
@pytest.mark.parametrize("again", [aggregate, report])
def test_no_earlier_report_stands_beside_new_tables(run, again):
    before, trials = run.html.read_bytes(), completed(run)
    lose_a_trial(run)
    shutil.rmtree(run.figures)
    run.figures.write_bytes(b"a file where the figures are to be written")
    with pytest.raises(OSError, match="figures"):
        aggregate(run)
    assert completed(run) == trials - 1
    assert not run.html.exists() and not run.markdown.exists()
    run.figures.unlink()
    again(run)
    assert run.html.read_bytes() != before and run.markdown.exists()


@pytest.mark.slow
def test_no_earlier_page_stands_beside_new_figures(run):
    """The figures before this one are written, and those behind it are not."""
    run.figure("learning").unlink()
    run.figure("learning").mkdir()
    with pytest.raises(OSError, match=r"learning\.png"):
        report(run)
    assert not run.html.exists() and not run.markdown.exists()


def test_damaged_provenance_leaves_everything_as_it_was(run):
    lose_a_trial(run)
    run.provenance.write_text("{ not whole")
    before = files_of(run)
    with pytest.raises(InputError, match="provenance is damaged"):
        aggregate(run)
    assert files_of(run) == before
