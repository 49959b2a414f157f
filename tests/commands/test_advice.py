"""Messages that name what is meant instead: whoever does what they say comes through."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from commands import advice, refused
from pydantic import ValidationError
from safetensors.torch import save_file
from stores import make_store, study_of
from trials import train_trial

from hnscc.base.errors import InputError
from hnscc.commands.train import main as train
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Network
from hnscc.training.network import build_network
from hnscc.training.ready import make_run_ready


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
    make_run_ready(study, "elsewhere/mine")
    for command in ("check", "run", "search"):
        error = refused(hnscc(command, "elsewhere/mine"))
        assert "found:      a run folder" in error
    code, out, _ = hnscc("check", *advice(error).partition(": ")[2].split())
    assert code == 0 and "elsewhere/mine" in out


def test_commands_that_are_advised_can_be_typed_where_paths_hold_blanks_and_quotes(
    hnscc, store, trained, tmp_path, monkeypatch
):
    """They stood without quotes: `hnscc check my study.yaml` was refused."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(store.location, "my scans.zarr")
    shutil.copytree(trained.root, "Anna's runs")
    for command in (
        ("init", "my scans.zarr", "my study.yaml"),
        *(("check", "Anna's runs/study.yaml", "--out", "Anna's runs"), ("status", "Anna's runs")),
        *(("tables", "Anna's runs"), ("tables", "Anna's runs", "pooled"), ("aggregate", "Anna's runs")),
    ):
        code, out, error = hnscc(*command)
        assert code == 0, error
        advised = re.findall(r":  *(hnscc \w+ .*?)(?: \(nothing is left.*)?$", out, re.MULTILINE)
        assert advised, out
        for each in advised:
            if not each.startswith("hnscc run"):
                assert hnscc(*shlex.split(each)[1:])[0] == 0, each
    error = refused(hnscc("run", "Anna's runs"))
    given = shlex.split(advice(error).partition(": ")[2])
    assert given == ["Anna's runs/study.yaml", "--out", "Anna's runs"]


def test_other_folders_in_place_of_a_study_are_named(hnscc, store, made):
    assert "found:      a store" in refused(hnscc("check", store.location))
    assert "found:      a folder\n" in refused(hnscc("check", "runs"))
    error = refused(hnscc("check", "."))
    assert "a folder with small.yaml" in error and "such as small.yaml" in advice(error)
    assert advice(refused(hnscc("check", "small"))) == "name the file small.yaml"


def test_a_store_that_changed_under_a_run_folder_is_told_by_check_and_run(
    hnscc, store, tmp_path, monkeypatch
):
    """Patients, not two hashes. In another run folder, or with the store restored, the study is taken again."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(store.location, "cohort.zarr")
    Path("s.yaml").write_text(dump_study(study_of("cohort.zarr")))
    assert train(["s.yaml", "pet-f0-r00", "--out", "run"]) == 0
    shutil.move("cohort.zarr", "before.zarr")
    make_store(Path(), patients=10)
    hnscc("--version")  # what training printed is not of interest
    for command in ("check", "run"):
        error = refused(hnscc(command, "s.yaml", "--out", "run"))
        assert "8 -> 10 patients (with p08 p09); 8 -> 10 scans" in error
        assert "another run folder (--out" in advice(error) and "restore the store" in advice(error)
    assert hnscc("check", "s.yaml", "--out", "another")[0] == 0
    shutil.rmtree("cohort.zarr")
    shutil.move("before.zarr", "cohort.zarr")
    assert hnscc("check", "s.yaml", "--out", "run")[0] == 0


def test_what_check_has_proven_of_the_splits_reads_as_good_news(hnscc, store, tmp_path):
    """`leakage: no patient stands in training and test` read like an alarm."""
    study = tmp_path / "s.yaml"
    study.write_text(dump_study(study_of(store.location)))
    code, out, _ = hnscc("check", study)
    assert code == 0 and "ok: no patient stands in training and test" in out.splitlines()
    assert "leakage" not in out and "normalisation bounds come from: training slices" in out.splitlines()


@pytest.mark.quick(2)
@pytest.mark.parametrize("text", ["[" * 1000 + "]" * 1000, "\n".join(" " * n + "a:" for n in range(1000))])
@pytest.mark.parametrize("command", ["check", "run", "search"])
def test_a_thousand_nested_levels_are_one_message(hnscc, tmp_path, text, command):
    study = tmp_path / "s.yaml"
    study.write_text(text)
    assert "it is nested far too deep" in refused(hnscc(command, study))


@pytest.mark.slow
def test_the_encoder_that_a_transformer_is_told_to_take_makes_a_network():
    """It was told to take resnet18, and with that, that it takes transformers alone."""
    with pytest.raises(ValidationError, match=r"dpt needs an encoder, for example tu-\w+ \(") as caught:
        Network(architecture="dpt")
    encoder = re.search(r"tu-\w+", str(caught.value))[0]
    from hnscc.training.library import smp  # here: above, each process of pytest would load it

    with torch.device("meta"):
        model = smp.create_model("dpt", encoder, encoder_weights=None)
        assert model(torch.zeros(1, 3, 224, 224)).shape == (1, 1, 224, 224)


@pytest.mark.slow
def test_vanished_encoder_weights_are_one_message_whoever_meets_them(hnscc, store, tmp_path, monkeypatch):
    """check, run, a single training, and a worker on a machine without the file: no trial is recorded as failed. With
    the file put back, as the message says, the trial is trained."""
    monkeypatch.chdir(tmp_path)
    network = {"architecture": "unet", "encoder": "resnet18", "encoder_weights": "w.safetensors"}
    study = study_of(
        store.location, training={"network": network, "epochs": 1}, variants={"pet": {"modalities": ["pet"]}}
    )
    Path("s.yaml").write_text(dump_study(study))
    donor = build_network(Network(architecture="unet", encoder="resnet18"), 1, seed=0)
    save_file(donor.encoder.state_dict(), "w.safetensors")
    ready = make_run_ready(study, "run")
    shutil.move("w.safetensors", "away")
    for command in ("check", "run"):
        assert "no such weights file" in refused(hnscc(command, "s.yaml", "--out", "run"))
    assert train(["s.yaml", "pet-f0-r00", "--out", "run"]) == 2
    folder = ready.folder.trial("pet-f0-r00")
    rows = train_trial(study, Trial("pet", 0, 0), ready.folds[0], folder, device="cpu", precision="fp32")
    with pytest.raises(InputError, match="weights cannot be read") as caught:
        next(rows)
    assert "put the file back" in caught.value.do and not folder.record.exists()
    shutil.move("away", "w.safetensors")
    assert train(["s.yaml", "pet-f0-r00", "--out", "run"]) == 0


def test_where_nothing_is_left_to_train_check_says_so(hnscc, trained, tmp_path):
    """`next:` was to run it, and not that this trains nothing."""
    run = RunFolder(shutil.copytree(trained.root, tmp_path / "run"))
    said = f"next: hnscc run {run.study} --out {run.root}"
    why = " (nothing is left to train: it makes the tables and the report again)"
    for left, more in ((None, why), (run.recorded[0].record, "")):
        if left:
            left.unlink()
        code, out, error = hnscc("check", run.study, "--out", run.root)
        assert code == 0, error
        assert " ".join(out.split()).endswith(said + more)
