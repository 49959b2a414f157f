"""Messages that name what is meant instead: whoever does what they say comes through."""

import shutil
from pathlib import Path

import pytest
from commands import advice, refused
from run_folders import random_run, small_study
from stores import make_store, study_of

from hnscc.aggregation.build import write_tables
from hnscc.training.prepare import prepare_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = random_run(tmp_path_factory.mktemp("run"), small_study())
    write_tables(run)
    return run.root


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def made(finished, tmp_path, monkeypatch):
    """A working directory with the study file small.yaml and its run folder runs/small."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, "runs/small")
    shutil.copy("runs/small/study.yaml", "small.yaml")
    return tmp_path


@pytest.mark.parametrize("given", ["small.yaml", "small", "runs/small/study.yaml", "runs/small/tables"])
def test_of_what_is_no_run_folder_the_one_that_is_meant_is_named(hnscc, made, given):
    """`status FILE.yaml` said `no such folder`. The folder that the message names is taken."""
    error = refused(hnscc("status", given))
    assert "runs/small" in advice(error)
    assert ("no such folder" in error) == (given == "small")
    assert hnscc("status", advice(error).rpartition(" ")[2])[0] == 0


def test_of_a_study_file_that_was_not_run_the_future_run_folder_is_named(hnscc, made):
    shutil.rmtree("runs")
    error = refused(hnscc("status", "small.yaml"))
    assert "found:      a study file" in error
    assert "runs/small once `hnscc run small.yaml` has made it" in advice(error)
    Path("other.txt").write_text("no study")
    assert "found:      a file" in refused(hnscc("status", "other.txt"))


def test_a_run_folder_in_place_of_a_study_names_its_study_file(hnscc, store, tmp_path, monkeypatch):
    """`hnscc run FOLDER` said `found: nothing`. The arguments that the message gives go on in that folder."""
    monkeypatch.chdir(tmp_path)
    study = study_of(store.location)
    prepare_run(study, "elsewhere/mine")
    for command in ("check", "run", "search"):
        error = refused(hnscc(command, "elsewhere/mine"))
        assert "found:      a run folder" in error
    code, out, _ = hnscc("check", *advice(error).partition(": ")[2].split())
    assert code == 0 and "elsewhere/mine" in out


def test_other_folders_in_place_of_a_study_are_named(hnscc, store, made):
    assert "found:      a store" in refused(hnscc("check", store.location))
    assert "found:      a folder\n" in refused(hnscc("check", "runs"))
    error = refused(hnscc("check", "."))
    assert "a folder with small.yaml" in error and "such as small.yaml" in advice(error)
    assert advice(refused(hnscc("check", "small"))) == "name the file small.yaml"
