"""Slices that a GPU holds give the batches that memory gives, and a step on a GPU waits for nothing.

Without a GPU: values on the processor, and what a GPU is asked for on tensors that claim to lie on one, without data.
"""

import contextlib

import numpy as np
import pytest
import torch
from stores import make_store, study_of
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from hnscc.study.identity import trial_seeds
from hnscc.study.trials import Trial
from hnscc.training import feeding
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.boundary import begin
from hnscc.training.feeding import Held, batches, hold, holding
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.process import set_up_torch
from hnscc.training.ready import make_run_ready
from hnscc.training.trial import train_epoch, train_first_batches, validate

NETWORKS = {
    "paper": {"architecture": "paper", "width": 4},
    "unet": {"architecture": "unet", "encoder": "resnet18"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    study = study_of(store.location)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


def slices_of(data, variant="pet_mri", **augmentation):
    study = study_of(data[0].store, augmentation={"copies": 0} | augmentation)
    seeds = trial_seeds(study, Trial(variant, 0, 0))
    return training_slices(study.variants[variant], data[1], seeds)


@pytest.mark.parametrize("variant", ["pet", "pet_mri"])
@pytest.mark.parametrize("copies", [0, 2])
def test_held_slices_give_the_same_batches(data, monkeypatch, variant, copies):
    monkeypatch.setattr(feeding, "PIECE", 5)  # several, and a last one that is shorter
    slices = slices_of(data, variant, copies=copies)(1)
    order = np.random.default_rng(0).permutation(len(slices))
    parts = np.split(order, [4, 7])
    held = [*batches(Held.of(slices, "cpu"), parts, "cpu")]
    read = [*batches(slices, parts, "cpu")]
    assert len(held) == len(read) == 3
    for part, ours, theirs in zip(parts, held, read, strict=True):
        for mine, expected in zip(ours, theirs, strict=True):
            assert torch.equal(mine, expected)
            assert (mine.dtype, mine.stride()) == (torch.float32, expected.stride())
        images, masks = slices.batch(part)
        np.testing.assert_array_equal(ours[0].numpy(), images)
        np.testing.assert_array_equal(ours[1].numpy()[:, 0], masks)
        assert ours[0].is_contiguous(memory_format=torch.channels_last)


def built(study, name, device="cpu", precision="fp32"):
    """What `Fit.start` takes."""
    study = study_of(study.store, training={"network": NETWORKS[name]})
    set_up_torch("cpu", 1, 1.0, precision)
    began = begin(study, Trial("pet_mri", 0, 0), "d", device=device, precision=precision)
    return build_network(study.training.network, 2, seed=1), study.training, began


def test_training_on_held_slices_gives_the_same_bits(data):
    slices = slices_of(data)(1)
    found = []
    for source in (slices, Held.of(slices, "cpu")):
        fit = Fit.start(*built(data[0], "paper"))
        scores = [train_epoch(fit, 1, source), *validate(fit, source)]
        found.append([*scores, *fit.network.state_dict().values()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


@contextlib.contextmanager
def fake_gpu(monkeypatch):
    """Tensors on `cuda` have shapes alone. backward(), which does not run on them, leaves gradients of such shapes."""
    monkeypatch.setattr(
        torch.Tensor,
        "backward",
        lambda loss: [each.__setattr__("grad", torch.empty_like(each)) for each in PARAMETERS],
    )
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


PARAMETERS = []


class Listing(TorchDispatchMode):
    """Notes what is copied to the GPU from memory, and what is read from it there."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.read, self.count = [], [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket._qualified_op_name.removeprefix("aten::")
        self.count += 1
        tensors = [each for each in torch.utils._pytree.tree_leaves(args) if torch.is_tensor(each)]
        devices = {each.device.type for each in tensors if each.dim()} | {
            each.device.type for each in torch.utils._pytree.tree_leaves(out) if torch.is_tensor(each)
        }
        if devices >= {"cpu", "cuda"}:
            self.moved.append((name, tensors[-1].dtype, tuple(tensors[-1].shape)))
        if name in ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select"):
            self.read.append(name)
        return out


@pytest.mark.quick(1)
@pytest.mark.parametrize(("name", "precision"), [("paper", "fp32"), ("paper", "bf16"), ("unet", "bf16")])
def test_a_gpu_gets_an_epochs_order_and_nothing_else_and_is_not_waited_for(
    data, monkeypatch, name, precision
):
    slices, training = slices_of(data)(1), built(data[0], name, "cuda", precision)
    with fake_gpu(monkeypatch):
        held = hold(slices, "cuda")
        assert isinstance(held, Held) and held.images.device.type == "cuda"
        assert held.images.shape == (len(slices), 32, 32, 2) and held.images.dtype == torch.float32
        assert held.masks.shape == (len(slices), 32, 32) and held.masks.dtype == torch.uint8
        fit = Fit.start(*training)
        PARAMETERS[:] = fit.optimiser.parameters
        for epoch in (1, 2):
            with Listing() as during:
                scores = [train_epoch(fit, epoch, held), *validate(fit, held)]
            assert all(
                (each.device.type, each.dtype, each.dim()) == ("cuda", torch.float64, 0) for each in scores
            )
            assert during.count > 100
            assert during.moved == [("_to_copy", torch.int64, (len(slices),))] * 2
            assert during.read == []


def test_slices_that_would_take_too_much_of_a_gpu_stay_in_memory(data, monkeypatch):
    """12 slices of two channels and 32 x 32 pixels: 4 bytes a value, and one for the mask."""
    slices = slices_of(data)(1)
    bytes_ = len(slices) * 32 * 32 * (2 * 4 + 1)
    with fake_gpu(monkeypatch):
        monkeypatch.setattr(feeding, "HELD_BYTES", bytes_)
        assert isinstance(hold(slices, "cuda"), Held)
        monkeypatch.setattr(feeding, "HELD_BYTES", bytes_ - 1)
        assert hold(slices, "cuda") is slices
    assert hold(slices, "cpu") is slices


@pytest.mark.parametrize(("copies", "anew"), [(0, False), (2, False), ("fresh", True)])
def test_a_gpu_gets_slices_anew_where_they_are_chosen_anew(data, monkeypatch, copies, anew):
    of = holding(slices_of(data, copies=copies), "cuda")
    with fake_gpu(monkeypatch):
        first, second = of(1), of(2)
    assert (second is not first) is anew
    assert isinstance(first, Held) and len(second) == len(first)


@pytest.mark.parametrize(("batch_size", "measured"), [(4, 2 * 32), (40, 2 * 40)])
def test_what_is_measured_holds_what_a_training_holds(data, monkeypatch, batch_size, measured):
    """Of the slices for training and validation, all; measured on the processor by what is asked to be held. An epoch
    of two full batches, of training or of evaluation, whichever are larger, is trained, and predicted too."""
    study = study_of(data[0].store, augmentation={"copies": 3}, training={"batch_size": batch_size})
    trial = Trial("pet", 0, 0)
    began = begin(study, trial, data[1].digest, device="cpu", precision="fp32")
    asked = []
    monkeypatch.setattr(
        "hnscc.training.trial.hold", lambda slices, device: asked.append(len(slices)) or slices
    )
    predicted, predicting = [], Fit.predicting
    monkeypatch.setattr(
        Fit, "predicting", lambda fit, slices: predicted.append(len(slices)) or predicting(fit, slices)
    )
    train_first_batches(study, trial, data[1], began)
    seeds, variant = trial_seeds(study, trial), study.variants["pet"]
    training = len(training_slices(variant, data[1], seeds)(1))
    assert asked == [training, len(validation_slices(variant, data[1], seeds)), measured]
    assert predicted == [measured]
