"""Whole studies on a real S3 server; it, or whoever drives them, is killed in mid-run."""

import pickle

import pytest
from on_s3 import BUCKET, PATIENCE, outage, run, same_tables, start, until, write_study

from hnscc.base.errors import StorageError
from hnscc.study.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("server")


def test_a_whole_study_on_s3_with_the_server_killed_in_mid_run(server, trained, there, tmp_path):
    """The tables of the undisturbed run in a folder."""
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    process = start("study", study, "--out", there)
    run_there = RunFolder(there)
    until(lambda: run_there.recorded, process, seconds=200)
    with outage(server, 8):
        pass
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, out + error
    assert "4 trials completed, 0 failed, 0 missing" in out
    assert str(there) in out
    same_tables(run_there, trained["folder"])
    assert not run_there.lock.exists()


def test_a_second_driver_is_refused_while_the_first_is_at_work(server, trained, there, tmp_path):
    long = {"epochs": 5000, "patience": 5000}
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr", training=long)
    process = start("study", study, "--out", there)
    until(RunFolder(there).lock.is_file, process)
    _, error = run("study", study, "--out", there, code=2)
    assert "Another process is at work here" in error
    assert process.poll() is None
    process.kill()


def test_a_driver_killed_on_s3_is_succeeded(server, trained, there, tmp_path):
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    process = start("study", study, "--out", there)
    run_there = RunFolder(there)
    until(lambda: run_there.recorded, process, seconds=200)
    process.kill()
    process.communicate()
    process = start("study", study, "--out", there)
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, out + error
    assert "waiting 30 s" in error
    same_tables(run_there, trained["folder"])


def test_a_study_whose_storage_is_gone_for_long_fails_and_continues(
    server, trained, there, tmp_path, monkeypatch
):
    study = write_study(tmp_path, f"s3://{BUCKET}/trained/cohort.zarr")
    command = (study, "--out", there)
    (tmp_path / "sitecustomize.py").write_text(PATIENCE)  # the workers have no more patience than the driver
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        process = start("study", *command)
    until(lambda: RunFolder(there).recorded, process, seconds=200)
    server.kill()
    out, error = process.communicate(timeout=300)
    server.start()
    assert process.returncode == 1, out + error
    assert "does not answer" in error
    run("study", *command)
    same_tables(RunFolder(there), trained["folder"])


def test_storage_errors_cross_process_borders():
    error = StorageError("a", where="b", expected="c", found="d", do="e")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 (made here)
