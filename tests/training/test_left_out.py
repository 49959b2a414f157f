"""What is trained and no longer of the study is said by `run`, `check`, `status`, `aggregate` and the report."""

import json

import pytest
import yaml
from rich.console import Console
from run_folders import add_failure, random_run, small_study
from searches import searched
from stores import make_store, study_of
from trials import train_trial

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.base.files import write_text
from hnscc.commands.cli import run_command
from hnscc.commands.printing import print_status
from hnscc.commands.status import run_status
from hnscc.reporting.report import write_report
from hnscc.study.loading import dump_study, parse_study
from hnscc.study.trials import Trial, trials_of
from hnscc.training.earlier import left_out
from hnscc.training.ready import make_run_ready
from rayjobs.study import main as run_study

FEWER = (
    "2 trained trials of pet (pet-f0-r01 to pet-f0-r02) stand in no table, since the study has fewer repeats"
)
GONE = "3 trained trials of mri (mri-f0-r00 to mri-f0-r02) stand in no table, since the study has no such variant"


def test_fewer_repeats_and_a_dropped_variant_are_told_by_aggregate_and_the_report(tmp_path):
    before = small_study(("pet", "mri"), repeats=3)
    run = random_run(tmp_path / "run", before)
    assert left_out(before, run) == {} and write_tables(run) == []
    now = small_study(("pet",), repeats=1)
    write_text(run.study, dump_study(now))
    assert left_out(now, run) == {
        "mri": ["mri-f0-r00", "mri-f0-r01", "mri-f0-r02"],
        "pet": ["pet-f0-r01", "pet-f0-r02"],
    }
    console = Console(record=True, width=200)
    print_status(run_status(run), console, "run")
    shown = console.export_text()
    assert f"left out: {GONE}" in shown and f"left out: {FEWER}" in shown
    told = [each.text for each in write_tables(run)]
    assert len(told) == 2 and told[0].startswith(GONE) and told[1].startswith(FEWER)
    write_report(run)
    for page in (run.markdown, run.html):
        text = " ".join(page.read_text().split())
        assert FEWER in text and GONE in text


def test_a_single_trial_is_one_trial(tmp_path):
    run = random_run(tmp_path / "run", small_study(("pet",), repeats=2))
    add_failure(run, Trial("pet", 0, 2), "ValueError: no")  # it was not trained
    write_text(run.study, dump_study(small_study(("pet",), repeats=1)))
    assert [each.text for each in write_tables(run)] == [
        "1 trained trial of pet (pet-f0-r01) stands in no table, since the study has fewer repeats or folds now; "
        "to use it again, raise `repeats` or `folds`"
    ]
    assert left_out(searched(), run) == {}, "no study names a search's trials"


@pytest.fixture
def trained(tmp_path):
    """Two repeats of pet and of mri, trained; and the path of a study file with one of pet alone."""
    variants = {name: {"modalities": [name]} for name in ("pet", "mri")}
    study = study_of(make_store(tmp_path).location, variants=variants, training={"epochs": 1})
    ready = make_run_ready(study, tmp_path / "run")
    for trial in trials_of(study):
        folder = ready.folder.trial(trial.trial_id)
        list(train_trial(study, trial, ready.folds[0], folder, device="cpu", precision="fp32"))
    raw = study.model_dump(mode="json")
    fewer = parse_study(raw | {"repeats": 1, "variants": {"pet": raw["variants"]["pet"]}})
    (tmp_path / "fewer.yaml").write_text(yaml.safe_dump(fewer.model_dump(mode="json")))
    return tmp_path / "fewer.yaml", ready.folder


def test_run_and_check_tell_it_and_check_lists_every_trial(trained, capsys, monkeypatch):
    study, run = trained
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    run.trial("pet-f0-r00").record.unlink()
    found = json.loads(json.dumps(hnscc.check(study, run.root)))
    assert found["trial_states"] == [
        {"trial": "pet-f0-r00", "status": "missing", "reason": "not run to its end"}
    ]
    assert found["left_out"] == {"mri": ["mri-f0-r00", "mri-f0-r01"], "pet": ["pet-f0-r01"]}
    monkeypatch.setattr("sys.argv", ["hnscc", "check", str(study), "--out", str(run.root)])
    assert run_command() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: 2 trained trials of mri (mri-f0-r00 to mri-f0-r01)" in said
    assert run_study([str(study), "--out", str(run.root), "--limit", "0"]) == 0
    told = capsys.readouterr().err
    assert "2 trained trials of mri (mri-f0-r00 to mri-f0-r01) stand in no table" in told
    assert "1 trained trial of pet (pet-f0-r01) stands in no table" in told
