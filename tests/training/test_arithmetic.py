"""Trained bits change only together with ARITHMETIC, the number of this project's arithmetic in a trial's identity.

Two small trainings leave weights whose hashes GOLDEN keeps. Bits hold for one set of kernels alone, which follows from
the processor and the versions of the libraries. Which kernels a machine has is asked of the libraries: `kernels` below
computes what a training computes, by PyTorch, segmentation-models-pytorch and OpenCV alone, and its hash names them.
Where that hash is known, other weights are this project's own change; where it is not, the test skips and says so.

After a change of trained bits: raise ARITHMETIC, and put in what the failing test found. After a change of the pinned
versions, which change the identity by themselves, put in what it found and the versions alone.
"""

import hashlib
import itertools
import re

import cv2
import numpy as np
import processes
import pytest
import torch
from stores import make_store, study_of
from torch import nn
from torch.nn import functional
from trials import train_trial

from hnscc.study.identity import ARITHMETIC, LIBRARIES, versions_here
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.process import set_up_torch
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record

STUDIES = {
    "paper": {
        "training": {"network": {"architecture": "paper", "width": 4}, "epochs": 2},
        "augmentation": {"copies": "fresh"},
    },
    "unet": {
        "training": {
            "network": {"architecture": "unet", "encoder": "resnet18"},
            "epochs": 1,
            "loss": "binary_cross_entropy_and_dice",
        },
    },
}
# What the hashes were found with.
GOLDEN_ARITHMETIC = 3
GOLDEN_VERSIONS = {
    "torch": "2.14.1",
    "torchvision": "0.29.1",
    "timm": "1.0.31",
    "segmentation-models-pytorch": "0.6.0",
    "albumentations": "2.0.8",
    "opencv-python-headless": "5.0.0.93",
    "numpy": "2.4.6",
}
# Hash of `kernels` -> study -> hash of its weights. The second set of kernels is that of processors without AVX-512, by
# ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 in the environment.
GOLDEN = {
    "39cb84d4eec25612b985961be4399715f0608f64712777fba8788d3fe1249328": {
        "paper": "859a6f070dd01a3d9f8099d76fc8f282f88c7f98c0b3a901e8c394374f5ff56a",
        "unet": "93fcad81849e759f0496ee1a18e0e3ce2279d76d3db7a54b835c783010636007",
    },
    "811b7ff61e8e1fb2bee99e9b3b2c4fc5d347196e39c4abdb353ccb6cbeee0f97": {
        "paper": "cebe6467aa61aa7ddce7a96139629b806b795cfbff9c6f6df554f13c35195f5b",
        "unet": "beee39a03a32e33d932b962a43cd3a2a8441ab01dd12319d63af24b3d7e64ccb",
    },
}


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


def stack(widths):
    """Convolutions of these numbers of channels, half of them transposed as the paper's network and our decoder do."""
    layers = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(after, after, 2, 2)]
        layers += [nn.MaxPool2d(2), nn.ConvTranspose2d(after, after, 4, 2, 1)]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))


def stepped(model, size):
    """The weights of a model after two steps of PyTorch's Adam on batches of four images of noise."""
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(2):
        images = torch.rand(4, 2, size, size).to(memory_format=torch.channels_last)
        logits, truth = model(images), (torch.rand(4, 1, size, size) > 0.9).float()
        probabilities = torch.sigmoid(logits)
        dice = (probabilities * truth).sum() / probabilities.sum()
        optimiser.zero_grad()
        (functional.binary_cross_entropy_with_logits(logits, truth) - dice).backward()
        optimiser.step()
    return [each.detach().numpy() for each in model.state_dict().values()]


@pytest.fixture(scope="module")
def kernels(smp):
    """The hash that names the kernels of this machine, as far as the trainings below use them."""
    set_up_torch("cpu", 1, 1.0, "fp32")
    torch.manual_seed(0)
    found = stepped(stack([2, 4, 8, 16, 32, 64]), 32)
    found += stepped(smp.Unet("resnet18", encoder_weights=None, in_channels=2, classes=1), 64)
    image = np.random.default_rng(0).random((32, 32), np.float32)
    found.append(cv2.warpAffine(image, np.array([[0.9, 0.1, 2.5], [-0.1, 0.9, -1.5]]), (32, 32)))
    return digest(found)


def trained(root, name):
    """The hash of the weights that a study's first trial leaves."""
    store = make_store(root, size={"paper": 32, "unet": 64}[name])
    study, trial = study_of(store.location, **STUDIES[name]), Trial("pet_mri", 0, 0)
    run = make_run_ready(study, root / "run")
    folder = RunFolder(root / "run").trial(trial.trial_id)
    list(train_trial(study, trial, run.folds[0], folder, device="cpu", precision="fp32"))
    return read_record(folder).files["weights.safetensors"]


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", STUDIES)
def test_trained_bits_change_only_with_arithmetic(kernels, tmp_path, name):
    here = {library: versions_here()[library].partition("+")[0] for library in LIBRARIES}
    if here != GOLDEN_VERSIONS:
        pytest.skip(f"the hashes were found with other versions of the libraries than those here, {here}")
    if kernels not in GOLDEN:
        pytest.skip(f"this processor's kernels ({kernels}) are none that a hash was found with")
    assert (ARITHMETIC, trained(tmp_path, name)) == (GOLDEN_ARITHMETIC, GOLDEN[kernels][name])


def test_the_hashes_were_found_with_the_pinned_versions():
    """Else the test above would skip for ever after a pinned version has changed."""
    lines = (processes.ROOT / "constraints.txt").read_text().replace("_", "-")
    pinned = dict(re.findall(r"^(\S+)==([^+\s]+)", lines, re.MULTILINE))
    assert {library: pinned[library] for library in LIBRARIES} == GOLDEN_VERSIONS
