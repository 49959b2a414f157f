import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hnscc.base.errors import InputError
from hnscc.study.variant_schema import ARCHITECTURES, Network
from hnscc.training.network import build_network, check_network
from hnscc.training.paper_unet import PaperUNet

PAPER = Network(architecture="paper", width=16)
BCE = "binary_cross_entropy"
RESNET = Network(architecture="unet", encoder="resnet18")


@pytest.mark.parametrize(("channels", "parameters"), [(1, 1_940_817), (2, 1_940_961)])
def test_the_papers_network_has_as_many_parameters_as_the_authors(channels, parameters):
    assert check_network(PAPER, channels, 128, loss=BCE) == parameters


def test_the_papers_network_layer_by_layer():
    """16-32-64-128-256 filters, dropout .1 .1 .2 .2 .3 .2 .2 .1 .1, no batch normalisation."""
    layers = list(PaperUNet(2).modules())
    convolutions = [
        layer for layer in layers if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    assert [layer.out_channels for layer in convolutions[::2]] == [16, 32, 64, 128, 256, 128, 64, 32, 16]
    assert [layer.in_channels for layer in convolutions[10::2]] == [256, 128, 64, 32]
    dropouts = [layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)]
    assert dropouts == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers)


def test_the_papers_network_starts_as_keras_would():
    """He-normal 3x3 kernels: variance 2 / fan_in, cut at 2 deviations; Glorot-uniform others; zero biases."""
    model = build_network(Network(architecture="paper", width=32), 2, seed=5)
    kernel = model.down[4][3].weight.detach()
    fan_in = 512 * 9
    assert kernel.var().item() == pytest.approx(2 / fan_in, rel=0.01)
    assert kernel.abs().max().item() <= 2 * (2 / fan_in) ** 0.5 / 0.8796 + 1e-6
    up = model.up[0].weight.detach()
    assert up.abs().max().item() <= (6 / ((512 + 256) * 4)) ** 0.5
    assert up.abs().max().item() > 0.99 * (6 / ((512 + 256) * 4)) ** 0.5
    assert all(not value.any() for name, value in model.named_parameters() if name.endswith("bias"))


def test_a_skip_at_full_resolution_carries_single_pixels():
    """What segmentation-models-pytorch's Unet cannot: the finest level sees its input unpooled."""
    model = build_network(Network(architecture="paper", width=4), 1, seed=0).eval()
    with torch.no_grad():
        out = (
            model(torch.zeros(1, 1, 32, 32)),
            model(torch.nn.functional.pad(torch.ones(1, 1, 1, 1), (9, 22, 9, 22))),
        )
    changed = (out[0] != out[1])[0, 0]
    assert changed[9, 9]


def test_weights_follow_the_seed_and_leave_torchs_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first, again, other = (build_network(RESNET, 2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.conv1.weight"], other["encoder.conv1.weight"])


@pytest.mark.parametrize("name", ["unetplusplus", "fpn", "deeplabv3plus"])
def test_other_architectures_come_by_name(name):
    assert check_network(Network(architecture=name, encoder="resnet18"), 3, 64, loss=BCE) > 1e6


@pytest.mark.parametrize("name", ["resnet-18", "resnet19", "Resnet18"])
def test_an_unknown_encoder_is_refused_with_the_nearest_first(name):
    """The first of the encoders that the message names is taken."""
    network = Network(architecture="unet", encoder=name)
    with pytest.raises(InputError, match="cannot build this network") as caught:
        build_network(network, 1, seed=0)
    nearest = caught.value.expected.partition("nearest are ")[2].split(", ")
    assert nearest[0] == "resnet18" and caught.value.where == "training.network.encoder"
    assert build_network(network.model_copy(update={"encoder": nearest[0]}), 1, seed=0)


@pytest.mark.parametrize(
    "place", ["hf-hub:timm/resnet18.a1_in1k", "hf_hub:timm/resnet18.a1_in1k", "local-dir:/tmp"]
)
def test_no_encoder_is_asked_of_the_network(monkeypatch, place):
    """The first two asked huggingface.co, though nothing is to ask the network for a network."""
    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *where, **_: asked.append(where) or [])
    with pytest.raises(InputError, match="is named by a place"):
        build_network(Network(architecture="unet", encoder=f"tu-{place}"), 1, seed=0)
    assert not asked


@pytest.mark.parametrize(("name", "encoder"), [("linknet", "mit_b0"), ("unet", "tu-no_such_network")])
def test_an_encoder_that_an_architecture_does_not_take_is_told_as_that(name, encoder):
    """What timm has is not listed here, so that nothing near to it can be named."""
    with pytest.raises(InputError, match="cannot build this network") as caught:
        build_network(Network(architecture=name, encoder=encoder), 1, seed=0)
    assert caught.value.where == "training.network.architecture"
    assert "suit one another" in caught.value.expected and f"{name} with {encoder}: " in caught.value.found


def test_the_known_architectures_are_those_of_the_library(smp):
    assert set(ARCHITECTURES) == set(smp.MODEL_ARCHITECTURES_MAPPING)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="does not take the store's slices"):
        check_network(PAPER, 1, 36, loss=BCE)


@pytest.mark.parametrize(
    ("network", "size", "step", "advised"),
    [
        (PAPER, 100, 16, (96, 112)),
        (Network(architecture="linknet", encoder="resnet18"), 100, 32, (96, 128)),
        (Network(architecture="deeplabv3plus", encoder="resnet18"), 90, 16, (80, 96)),
        (Network(architecture="pspnet", encoder="resnet18"), 100, 8, (96, 104)),
        (PAPER, 12, 16, (16,)),
    ],
)
def test_the_sizes_that_a_message_advises_are_taken(network, size, step, advised):
    """100 pixels: `Expected size 24 but got size 25` was all that torch said."""
    with pytest.raises(InputError) as caught:
        check_network(network, 1, size, loss=BCE)
    assert f"a multiple of {step}" in caught.value.expected and "Expected size" not in str(caught.value)
    sizes = re.search(r"--size (\d+)(?: or (\d+))?,", caught.value.do)
    assert tuple(int(each) for each in sizes.groups() if each) == advised
    for each in advised:
        assert check_network(network, 1, each, loss=BCE)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("network", "size", "batches"),
    [
        (Network(architecture="deeplabv3plus", encoder="resnet18"), 64, (4, 1)),  # pools to one pixel
        (RESNET, 32, (1,)),  # ends in one pixel
    ],
)
def test_a_batch_of_one_value_per_channel_is_refused_and_the_advice_works(network, size, batches):
    """Batch normalisation cannot divide by the deviation of one value: every trial would fail."""
    with pytest.raises(InputError, match="cannot be trained on a batch of 1 slice") as refused:
        check_network(network, 2, size, batches, loss=BCE)
    assert "training.batch_size" in refused.value.where
    assert refused.value.do == "set training.batch_size to 2 or more"
    assert check_network(network, 2, size, [2], loss=BCE) == check_network(network, 2, size, loss=BCE)


def test_the_papers_network_trains_on_single_slices():
    assert check_network(PAPER, 1, 32, [1, 5], loss=BCE) == 1_940_817


def test_a_network_that_takes_one_size_alone_is_refused_in_a_message():
    """Its encoder, a vision transformer, raises an AssertionError at any size but 224."""
    network = Network(architecture="dpt", encoder="tu-vit_tiny_patch16_224")
    with pytest.raises(InputError, match="does not take the store's slices") as refused:
        check_network(network, 2, 64, loss=BCE)
    assert "Input height (64) doesn't match model (224)" in refused.value.found


def test_a_size_that_the_papers_network_does_not_take_is_told_with_those_beside_it():
    with pytest.raises(InputError, match="does not take the store's slices") as refused:
        check_network(Network(architecture="paper", width=5), 1, 100, [3], loss=BCE)
    assert "multiple of" in refused.value.expected and "96 or" in refused.value.do


def test_encoder_weights_come_from_a_named_file_only(tmp_path):
    donor = build_network(RESNET, 2, seed=9)
    path = tmp_path / "encoder.safetensors"
    save_file(donor.encoder.state_dict(), path)
    network = Network(architecture="unet", encoder="resnet18", encoder_weights=str(path))
    model = build_network(network, 2, seed=1)
    assert torch.equal(model.encoder.conv1.weight, donor.encoder.conv1.weight)
    assert check_network(network, 2, 64, loss=BCE) > 1e6
    with pytest.raises(InputError, match="does not fit the encoder"):
        build_network(network, 1, seed=1)
    for content in (
        path.read_bytes()[:1000],
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"x" * 999,
    ):
        path.write_bytes(content)
        # It is tried again, though it was with the file that was there before.
        with pytest.raises(InputError, match=r"no whole safetensors file[^$]*git lfs pull"):
            check_network(network, 2, 64, loss=BCE)
    cannot_be_mapped = network.model_copy(update={"encoder_weights": "/proc/self/mem"})
    with pytest.raises(InputError, match="no whole safetensors file"):
        build_network(cannot_be_mapped, 2, seed=1)
    path.unlink()
    with pytest.raises(InputError, match="no such weights file"):
        build_network(network, 2, seed=1)


def test_batch_items_do_not_mix():
    model = build_network(PAPER, 1, seed=0).eval()
    images = torch.from_numpy(np.random.default_rng(0).random((3, 1, 32, 32), np.float32))
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", [PAPER, RESNET])
def test_networks_train_on_other_devices_than_a_processor(network):
    """NumPy's choices meet no other device: on PyTorch's device without data, forward and backward go through."""
    model = build_network(network, 2, seed=0).to("meta", memory_format=torch.channels_last).train()
    out = model(torch.empty(3, 2, 64, 64, device="meta"))
    out.sum().backward()
    assert out.device.type == "meta" and out.shape == (3, 1, 64, 64)
    assert all(each.grad.device.type == "meta" for each in model.parameters())
