"""What becomes of a network that fails where it is tried before training."""

import re
import time

import pytest
import torch
from stores import make_store, study_of

from hnscc.base.errors import InputError
from hnscc.study.variant_schema import Network
from hnscc.training.losses import LOSSES
from hnscc.training.network import check_network
from hnscc.training.paper_unet import PaperUNet
from hnscc.training.ready import make_run_ready

BCE = "binary_cross_entropy"


def test_the_step_that_is_tried_is_by_the_loss_that_the_study_names(monkeypatch):
    """It was by binary cross-entropy, whatever the study named. An error of the loss, which is ours, was told as a
    fault of the network."""
    monkeypatch.setitem(LOSSES, "dice", lambda logits, truth: logits.reshape(-1, 7).mean())
    network = Network(architecture="paper", width=3)
    assert check_network(network, 1, 16, [3], loss=BCE) > 0
    with pytest.raises(RuntimeError, match="is invalid for input"):
        check_network(network, 1, 16, [3], loss="dice")


class Shy(torch.nn.Module):
    """A network that looks at its values, which are not there on PyTorch's device without data, and that does not train
    on batches of some sizes."""

    def __init__(self, refused: range) -> None:
        super().__init__()
        self.inner, self.refused = torch.nn.Conv2d(1, 1, 3, padding=1), refused

    def forward(self, images):
        if images.sum().item() != 0 or (self.training and len(images) in self.refused):
            raise ArithmeticError("so many")
        return self.inner(images)


@pytest.mark.parametrize(
    ("refused", "batch", "refusal"),
    [
        (range(1, 2), 3, None),
        (range(1, 2), 1, "cannot be trained on a batch of 1 slice"),
        (range(1, 9), 3, "cannot be trained."),
        (range(1, 9), 1, "cannot be trained."),
        (range(3, 4), 3, "cannot be trained."),
    ],
)
def test_what_fails_without_data_is_tried_in_full(monkeypatch, refused, batch, refusal):
    """Whatever a library's network raises. The encoder tells the two apart: what was tried is not tried again."""
    monkeypatch.setattr("hnscc.training.library.smp.create_model", lambda *_, **__: Shy(refused))
    network = Network(architecture="linknet", encoder=f"{refused}")
    if refusal is None:
        assert check_network(network, 1, 16, [batch], loss=BCE) == 10
    else:
        with pytest.raises(InputError, match=re.escape(refusal)) as told:
            check_network(network, 1, 16, [batch], loss=BCE)
        assert told.value.found == "ArithmeticError: so many"


@pytest.mark.parametrize("within", ["create_model", "Unet.forward"])
def test_memory_that_is_too_little_to_try_a_network_is_no_fault_of_it(monkeypatch, within):
    def full(*given, **named):
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    monkeypatch.setattr(f"hnscc.training.library.smp.{within}", full)
    with pytest.raises(MemoryError, match="tried to allocate 9 bytes"):
        check_network(Network(architecture="unet", encoder="resnet18"), 7, 32, loss=BCE)


class Overwriting(torch.nn.Module):
    """A network that overwrites what its gradient is computed from."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, images):
        return self.inner(images).exp().add_(1)


def test_a_network_without_a_gradient_is_refused(monkeypatch):
    monkeypatch.setattr("hnscc.training.library.smp.create_model", lambda *_, **__: Overwriting())
    network = Network(architecture="linknet", encoder="overwriting")
    assert check_network(network, 1, 16, loss=BCE) == 10
    with pytest.raises(InputError, match=r"cannot be trained\.") as refused:
        check_network(network, 1, 16, [2], loss=BCE)
    assert "modified by an inplace operation" in refused.value.found


def test_a_fault_of_our_own_network_is_not_told_as_a_size_that_it_does_not_take(monkeypatch):
    """It was: an AttributeError in it said to prepare the store again with another --size."""
    monkeypatch.setattr(PaperUNet, "forward", lambda self, images: self.no_such_thing(images))
    with pytest.raises(AttributeError, match="no_such_thing"):
        check_network(Network(architecture="paper", width=5), 1, 16, [3], loss=BCE)


def test_networks_that_do_not_fit_are_told_though_all_slices_are_read_by_then(tmp_path):
    store = make_store(tmp_path)

    def slow(*networks):
        time.sleep(0.3)
        raise InputError("It does not fit.", where="here", expected="a", found="b", do="c")

    with pytest.raises(InputError, match="It does not fit"):
        make_run_ready(study_of(store.location), tmp_path / "run", check=slow)
    assert not (tmp_path / "run").exists()
