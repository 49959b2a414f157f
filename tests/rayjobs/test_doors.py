"""`hnscc` and `python -m rayjobs....` are two doors to the same: they tell the same and refuse the same."""

import os
import subprocess
import sys

import pytest
import typer.main
from processes import ROOT
from stores import make_store, study_of

import rayjobs.aggregate
import rayjobs.search
import rayjobs.study
from hnscc.commands import train
from hnscc.commands.cli import app
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record


@pytest.mark.parametrize(
    ("module", "command"),
    [
        (rayjobs.study, "run"),
        (rayjobs.search, "search"),
        (rayjobs.aggregate, "aggregate"),
        (train, "run"),
    ],
)
def test_an_option_has_one_help(module, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        module.main(["--help"])
    told = capsys.readouterr().out
    options = {each.opts[0]: each.help for each in typer.main.get_command(app).commands[command].params}
    shared = {
        name: text for name, text in options.items() if f"  {name.removeprefix('--')}" in told or name in told
    }
    assert {"--out", "--accept-versions"} <= shared.keys() or command == "aggregate"
    assert [text for text in shared.values() if text not in told] == []


@pytest.mark.parametrize("command", ["aggregate", "report"])
def test_a_job_with_patient_files_is_refused_by_either_door(hnscc, capsys, tmp_path, monkeypatch, command):
    """Ray copies a job's working directory to every machine, under such a name."""
    run = make_run_ready(study_of(make_store(tmp_path).location), tmp_path / "run").folder
    job = tmp_path / "_ray_pkg_0123"
    job.mkdir()
    (job / "scan.nii").write_bytes(b"a patient's")
    monkeypatch.chdir(job)
    code, _, error = hnscc(command, run.root)
    assert (code, "1 NIfTI file" in error) == (2, True)
    if command == "aggregate":
        assert rayjobs.aggregate.main([str(run.root)]) == 2
        assert "1 NIfTI file" in capsys.readouterr().err
    assert not run.html.exists() and not run.table("trials").exists()


def test_a_job_trains_no_trial_into_its_own_copy_of_the_working_directory(capsys, tmp_path, monkeypatch):
    """Ray deletes that copy after the job, and the trained models with it."""
    store = make_store(tmp_path)
    job = tmp_path / "_ray_pkg_0123"
    job.mkdir()
    (job / "study.yaml").write_text(dump_study(study_of(store.location)))
    monkeypatch.chdir(job)
    assert train.main(["study.yaml", "pet-f0-r00"]) == 2
    assert "The run folder would be lost" in capsys.readouterr().err
    assert [each.name for each in job.iterdir()] == ["study.yaml"]
    (job / "scan.nii").write_bytes(b"a patient's")
    assert train.main(["study.yaml", "pet-f0-r00", "--out", str(tmp_path / "run")]) == 2
    assert "1 NIfTI file" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_single_trial_that_fails_is_told_as_a_run_tells_it(capsys, tmp_path):
    """Its traceback stood in the job's log, and may name a patient's file. On a processor it said that it had a GPU."""
    study = study_of(make_store(tmp_path).location, training={"learning_rate": 1e30})
    (tmp_path / "study.yaml").write_text(dump_study(study))
    trial = RunFolder(tmp_path / "run").trial("pet-f0-r00")
    assert train.main([str(tmp_path / "study.yaml"), trial.trial_id, "--out", str(tmp_path / "run")]) == 1
    told = f"failed: {trial.trial_id}: Diverged\n  traceback: {trial.record}\n"
    assert capsys.readouterr().err == told
    record = read_record(trial)
    assert "Traceback" in record.error and [each.gpus for each in record.attempts] == [0.0]


def test_tables_and_report_are_followed_by_what_to_do_next(hnscc, capsys, tmp_path):
    run = make_run_ready(study_of(make_store(tmp_path).location), tmp_path / "run").folder
    following = f"next:  hnscc tables {run.root}\n"
    assert hnscc("aggregate", run.root)[1].endswith(following)
    assert rayjobs.aggregate.main([str(run.root)]) == 0
    assert capsys.readouterr().out.endswith(following)
    assert hnscc("report", run.root)[1].endswith(f"next:  open {run.html}\n")


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "command", ["rayjobs.aggregate {run}", "rayjobs.study {study} --out {run} --limit 0"]
)
def test_a_job_whose_log_cannot_be_written_is_told_as_a_command_is(tmp_path, command):
    """It was a traceback, or exit code 120."""
    study = study_of(make_store(tmp_path).location)
    run = make_run_ready(study, tmp_path / "run").folder
    words = command.format(run=run.root, study=run.study)
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m {words} > /dev/full'],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "error: What the command prints cannot be written.\n" in done.stderr
    assert "Traceback" not in done.stderr
