"""What models say of slices, also where they say nothing that could be stored."""

import numpy as np
import pytest
import torch
from stores import make_store, study_of
from trials import train_trial

from hnscc.base.errors import InputError
from hnscc.base.steps import at_once
from hnscc.cohort.slices import Slices
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Network
from hnscc.training.export import onnx_of
from hnscc.training.inference import TrainedModels, device_here, logits_of, predicting
from hnscc.training.members import Member
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record


class Given(torch.nn.Module):
    """Logits that are given, of one slice after another."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[:, None, None, None].expand(-1, 1, *images.shape[2:])


class Holed(Given):
    """The same, but for one pixel of the second slice."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().forward(images).clone()
        logits[1, 0, 2, 3] = torch.nan
        return logits


def said(model: Given) -> np.ndarray:
    count = len(model.logits)
    images, masks = np.zeros((count, 1, 4, 4), np.float32), np.zeros((count, 4, 4), np.uint8)
    slices = Slices(images, masks, np.arange(count), range(1), [(0.0, 1.0)])
    return at_once(predicting(model, slices, device="cpu", precision="fp32"))


@pytest.mark.parametrize(
    ("model", "lacking"), [(Given(0.0, float("nan"), float("nan")), 2), (Holed(0.0, 0.0, 0.0), 1)]
)
def test_no_number_is_no_probability(model, lacking):
    """NaN was stored as a probability of 0. A single pixel is enough."""
    with pytest.raises(InputError, match=rf"found: +NaN in {lacking} of 3 slices"):
        said(model)


@pytest.mark.parametrize(("usable", "device"), [(True, "cuda"), (False, "cpu")])
def test_predictions_are_made_on_a_gpu_where_one_can_be_used(monkeypatch, usable, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    assert device_here() == device


class Sums(torch.nn.Linear):
    """A layer that is computed in the format of a training, and notes which."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.seen = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        sums = super().forward(images)
        self.seen.append(sums.dtype)
        return sums


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_network_computes_in_the_format_of_its_trial_and_its_logits_are_float32(precision, dtype):
    model = Sums()
    assert logits_of(model, torch.ones(2, 1, 3, 1), device="cpu", precision=precision).dtype == torch.float32
    assert model.seen == [dtype]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trained_model_says_of_raw_values_what_its_trial_stored_of_them(tmp_path, precision):
    """To the bit: by the bounds of its fold, in its own number format, whatever model was asked before it."""
    study = study_of(make_store(tmp_path).location, training={"epochs": 1, "precision": precision}, repeats=1)
    run = make_run_ready(study, tmp_path / "run")
    data, trial = run.folds[0], Trial("pet_mri", 0, 0)
    folder = run.folder.trial(trial.trial_id)
    list(train_trial(study, trial, data, folder, device="cpu", precision=precision))
    digest = read_record(folder).files["weights.safetensors"]
    scored = data.scored_slices(("pet", "mri"))
    other = {"fp32": "bf16", "bf16": "fp32"}[precision]
    members = [
        Member(trial.trial_id, bounds, number_format, digest)
        for bounds, number_format in (
            (scored.bounds, precision),
            (((0.0, 9.0), (0.0, 9.0)), precision),
            (scored.bounds, other),
            (scored.bounds, precision),
        )
    ]
    models = TrainedModels(run.folder, study.training.network, members, threads=1)
    stored = np.load(folder.predictions)["probabilities"]
    same = [np.array_equal(each, stored) for each in models.probabilities(scored.images[scored.rows])]
    assert same == [True, False, False, True]


def test_trained_weights_need_no_file_of_the_encoders(tmp_path, monkeypatch):
    """Which the user may have deleted since: they already include them. The number of threads is the one given."""
    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    network = Network(architecture="unet", encoder="resnet18", encoder_weights=str(tmp_path / "gone"))
    run, members = RunFolder(tmp_path), [Member("pet-f0-r00", ((0.0, 1.0),), "fp32", "")]
    assert TrainedModels(run, network, members, threads=3).model and told == [3]
    # They are read after the network was built.
    with pytest.raises(InputError, match="weights of a trial cannot be used"):
        onnx_of(run, network, members, 32)


def test_infinite_logits_are_probabilities_of_0_and_1():
    assert said(Given(-float("inf"), float("inf"), 0.0))[:, 0, 0].tolist() == [0, 65535, 32768]
