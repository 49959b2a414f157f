"""`hnscc export`: the graph says what the study's own networks say, and is used without this package."""

import hashlib
import json
import re
import subprocess
import sys

import nibabel as nib
import numpy as np
import onnxruntime
import pytest
import torch
from commands import refused
from safetensors.numpy import load_file
from safetensors.torch import save
from trained_runs import scan_of, write_scans

import hnscc
from hnscc.aggregation.models import models_of
from hnscc.base.errors import InputError
from hnscc.commands.export import card_text
from hnscc.study.run_folder import RunFolder
from hnscc.study.variant_schema import Network
from hnscc.training.export import check_pools, onnx_of
from hnscc.training.members import Member
from hnscc.training.network import build_network


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return hnscc.export(trained.root, tmp_path_factory.mktemp("export") / "model", variant="pet_mri")


def test_the_graph_says_what_the_networks_say(exported, trained, tmp_path):
    """From raw values to probabilities, and to the mask, of a scan whose grid is that of the stored slices."""
    volumes = scan_of(5)
    manifest = write_scans(tmp_path / "new", {"a": volumes})
    options = {"variant": "pet_mri", "probabilities": True}
    found = hnscc.predict(trained.root, manifest, tmp_path / "out", **options)
    images = np.stack([volumes["pet"].T, volumes["mri"].T], axis=1).astype(np.float32)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    (probability,) = session.run(None, {"images": images})
    expected = np.asarray(nib.load(tmp_path / "out" / "a_probability.nii.gz").dataobj).T
    assert probability.shape == expected.shape and probability.std() > 1e-3
    assert np.abs(probability - expected).max() < 1e-4
    settings = json.loads((exported / "settings.json").read_text())
    low, high = (np.array(settings["bounds"])[..., at, None, None] for at in (0, 1))
    # They are clipped at the bounds of each model.
    beyond = 5 * images - 2 * images.mean(axis=(0, 2, 3), keepdims=True)
    within = np.clip(beyond, low.min(axis=0), high.max(axis=0)).astype(np.float32)
    assert (beyond < within).any(axis=(0, 2, 3)).all() and (beyond > within).any(axis=(0, 2, 3)).all()
    of_both = [session.run(None, {"images": each})[0] for each in (beyond, within)]
    np.testing.assert_allclose(*of_both, atol=1e-6)
    assert settings["threshold"] == found.facts["threshold"] and settings["trials"] == found.facts["trials"]
    for name, trial in zip(settings["weights"], settings["trials"], strict=True):
        assert (exported / name).read_bytes() == trained.trial(trial).weights.read_bytes()
        assert load_file(exported / name)
    assert settings["training"]["training"]["network"]["architecture"]
    assert "encoder_weights" not in settings["training"]["training"]["network"]  # a path of the user's


def test_the_lines_of_the_card_run_without_this_package(exported, tmp_path):
    card = (exported / "model_card.md").read_text()
    lines = re.search(r"```python\n(.*?)```", card, re.S)[1]
    assert len(lines.strip().splitlines()) <= 15
    for name in ("model.onnx", "settings.json"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    volumes = scan_of(7)
    images = np.stack([volumes["pet"].T, volumes["mri"].T], axis=1)
    np.save(tmp_path / "images.npy", images)
    without = "import sys\nfor name in ('hnscc', 'data_prep', 'rayjobs', 'torch'): sys.modules[name] = None\n"
    subprocess.run([sys.executable, "-c", without + lines], check=True, cwd=tmp_path, env={"PATH": ""})
    mask = np.load(tmp_path / "mask.npy")
    assert mask.shape == images[:, 0].shape and mask.dtype == bool


def test_the_card_has_the_studys_numbers(exported, trained):
    card = (exported / "model_card.md").read_text()
    rows = hnscc.query(trained.root, "SELECT split, dice FROM pooled WHERE variant = 'pet_mri'").to_pylist()
    assert len(rows) == 3
    for row in rows:
        assert f"| {row['split']} | {row['dice']:.3f} (" in card
    assert "12 patients with 12 scans, 8 of them with lesion" in card
    assert "they alone say something about new patients" in card, "scores of training patients stand beside"
    assert "no medical device" in card and str(trained.root) not in card
    assert len(re.findall(r"^\| (?!split|-)", card, re.M)) == 3, "of this variant alone"


def test_settings_hold_what_each_model_was_trained_on(exported, trained):
    settings, models = json.loads((exported / "settings.json").read_text()), models_of(trained, "pet_mri")
    assert settings["usual"] == json.loads(json.dumps(models.usual)) and settings["usual"]
    assert settings["precision"] == ["fp32"]
    for name, digest in zip(settings["weights"], settings["weights_sha256"], strict=True):
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest
    assert settings["bounds"] == [[list(pair) for pair in member.bounds] for member in models.members]


def test_a_card_tells_scans_bounds_and_intervals_by_hand():
    """Two patients with three scans, of which one has lesion; two trials with bounds of their own."""
    settings = {
        **{
            "study": "S",
            "variant": "V",
            "modalities": ["pet", "mri"],
            "trials": ["t0", "t1"],
            "threshold": 0.5,
        },
        "bounds": [[[0, 10], [1, 20]], [[0, 30], [2, 40]]],
        "placing": {"reference": "mri", "size": 64, "pixel_mm": 1.5},
        "precision": ["bf16"],
    }
    row = {
        "split": "test",
        "dice": 0.7,
        "dice_low": 0.61,
        "dice_high": 0.78,
        "threshold": None,
        "patients": 9,
    }
    cohort = [
        {"patient_id": patient, "scan_id": scan, "positive_slices": slices}
        for patient, scan, slices in (("a", "a1", 3), ("a", "a2", 0), ("b", "b1", 0))
    ]
    card = card_text(settings, [row], cohort)
    assert "| test | 0.700 (0.610 to 0.780) | – | 9 |" in card
    assert "2 patients with 3 scans, 1 of them with lesion." in card
    assert "- t0 was trained on values of pet 0 to 10, mri 1 to 20;" in card
    assert "- t1 was trained on values of pet 0 to 30, mri 2 to 40;" in card
    assert "grid of mri, pixels of 1.5 mm; rows" in card and "trained in bf16" in card
    settings |= {"placing": settings["placing"] | {"pixel_mm": None}, "precision": ["fp32"]}
    card = card_text(settings, [row], cohort)
    assert "grid of mri, the whole field of view kept; rows" in card and "bf16" not in card


def test_the_command_tells_what_it_wrote_and_refuses(hnscc, trained, tmp_path):
    code, text, _ = hnscc("export", trained.root, "--out", tmp_path / "model", "--variant", "pet")
    assert code == 0 and f"wrote {tmp_path / 'model'}" in text and "next:" in text
    error = refused(hnscc("export", trained.root, "--out", tmp_path / "model"))
    assert "a folder with settings.json" in error
    assert "no such variant" in refused(
        hnscc("export", trained.root, "--out", tmp_path / "x", "--variant", "q")
    )
    assert not (tmp_path / "x").exists()


def graph_of(network, model, size, monkeypatch):
    """What is exported of a model that no trial has left."""
    monkeypatch.setattr("hnscc.training.export.read_weights", lambda run, member: save(model.state_dict()))
    members = [Member("pet_mri-f0-r00", ((0.0, 1.0), (0.0, 1.0)), "fp32", "")]
    return onnx_of(RunFolder("nowhere"), network, members, size)


def test_a_graph_normalises_by_what_training_kept_of_its_batches(monkeypatch):
    network, images = Network(architecture="unet", encoder="resnet18"), torch.rand(3, 2, 32, 32)
    model = build_network(network, 2, seed=0)
    with torch.no_grad():
        expected = torch.sigmoid(model.eval()(images))[:, 0]
    session = onnxruntime.InferenceSession(graph_of(network, model, 32, monkeypatch))
    (probability,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(probability, expected, atol=1e-4)


@pytest.mark.parametrize(
    "architecture, size, found", [("pspnet", 64, "8 into 3, 8 into 6"), ("upernet", 96, "3 into 2")]
)
def test_a_network_that_onnx_has_no_words_for_is_refused(architecture, size, found, capfd, monkeypatch):
    """They take means over thirds and sixths of a slice; PyTorch's exporter would end in a traceback, and the graph."""
    network = Network(architecture=architecture, encoder="resnet18")
    with pytest.raises(InputError, match="ONNX has no words for the network") as error:
        graph_of(network, build_network(network, 2, seed=0), size, monkeypatch)
    assert found in str(error.value) and f"{architecture}, slices of ({size}, {size})" in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_pools_that_divide_are_no_hindrance():
    model = build_network(Network(architecture="pspnet", encoder="resnet18"), 2, seed=0).eval()
    check_pools(model, torch.zeros(1, 2, 96, 96), "pspnet")
    along_one_axis = torch.nn.AdaptiveAvgPool2d((None, 4))
    check_pools(along_one_axis, torch.zeros(1, 2, 7, 8), "other")
    with pytest.raises(InputError, match="9 into 4"):
        check_pools(along_one_axis, torch.zeros(1, 2, 7, 9), "other")
