"""A decoder that convolves small maps is the library's own, but for rounding, and takes fewer operations."""

import copy

import pytest
import torch
from stores import study_of
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Network
from hnscc.training import subpixel
from hnscc.training.boundary import begin
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.subpixel import LEAST_PIXELS, decode_small


def network(architecture, encoder="resnet18"):
    return build_network(Network(architecture=architecture, encoder=encoder), 2, seed=0)


def outcome(model, images):
    """The output, and the gradient of the images and of every parameter that it has, by a fixed direction."""
    given = images.clone().requires_grad_()
    torch.manual_seed(1)
    out = model(given)
    (out * torch.randn(out.shape, dtype=out.dtype)).sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return out.detach(), gradients | {"images": given.grad}


def small_sides(model, images):
    """The height of the small map of each 4x4 transposed convolution in a forward pass."""
    heights = []

    class _Noting(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.conv_transpose2d:
                heights.append(args[0].shape[2])
            return func(*args, **(kwargs or {}))

    with _Noting(), torch.no_grad():
        model(images)
    return heights


@pytest.mark.parametrize(
    ("network", "blocks"), [("Unet", [4, 8, 16]), ("UnetPlusPlus", [4, 8, 8, 16]), ("MAnet", [4, 8, 16])]
)
def test_outputs_and_gradients_are_the_librarys(smp, monkeypatch, network, blocks):
    """In float64, which takes long: small networks."""
    monkeypatch.setattr(subpixel, "LEAST_PIXELS", 1)
    torch.manual_seed(0)
    images = torch.randn(3, 2, 32, 32, dtype=torch.float64)
    theirs = getattr(smp, network)("mobilenet_v2", 3, None, decoder_channels=(8, 6, 4), in_channels=2)
    theirs = theirs.double().eval()  # normalised by so few values, roundings grow a thousandfold
    ours = decode_small(copy.deepcopy(theirs))
    (out, gradients), (expected, expected_gradients) = outcome(ours, images), outcome(theirs, images)
    assert sorted(small_sides(ours, images)) == blocks and small_sides(theirs, images) == []
    assert (out - expected).abs().max().item() < 3e-14 * max(1.0, expected.abs().max().item())
    assert list(gradients) == list(expected_gradients) and "decoder.blocks" in " ".join(gradients)
    for name, correct in expected_gradients.items():
        furthest = (gradients[name] - correct).abs().max().item()
        assert furthest < 3e-14 * max(1.0, correct.abs().max().item()), name


@pytest.mark.parametrize(
    ("architecture", "encoder", "sides"),
    [("unet", "mit_b0", [2, 4, 8, 16, 32]), ("unetplusplus", "tu-convnext_atto", [2, 4, 4, 8, 8, 8, 16, 32])],
)
def test_a_skip_without_channels_adds_nothing(monkeypatch, architecture, encoder, sides):
    """Such encoders have none at half of the slice's side. Unet++ leaves the blocks of these out."""
    monkeypatch.setattr(subpixel, "LEAST_PIXELS", 1)
    theirs, images = network(architecture, encoder).eval(), torch.rand(1, 2, 64, 64)
    ours = decode_small(copy.deepcopy(theirs))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
    assert sorted(small_sides(ours, images)) == sides


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus", "manet"])
def test_checkpoints_keep_their_form(architecture):
    theirs = network(architecture)
    ours = decode_small(network(architecture))
    named, as_before = (dict(each.named_parameters()) for each in (ours, theirs))
    assert list(named) == list(as_before) and list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(named[name], as_before[name]) for name in named)


@pytest.mark.parametrize(
    ("model", "blocks"),
    [
        (lambda: network("linknet"), 5),  # transposed convolutions with weights of their own
        (lambda: network("fpn"), 0),
        (lambda: build_network(Network(architecture="paper", width=2), 2, seed=0), 0),
    ],
)
def test_networks_without_such_blocks_stay(model, blocks):
    theirs = model().eval()
    ours, images = decode_small(copy.deepcopy(theirs)), torch.randn(1, 2, 64, 64)
    assert len(small_sides(ours, images)) == blocks
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("batch", "size", "sides"),
    [
        (16, 128, [8, 16, 32, 64]),  # 4 x 4 x 16 are 256 pixels
        (8, 128, [16, 32, 64]),
        (1, 128, [32, 64]),
        (16, 100, [25, 50]),  # 13 becomes 25, which is not the double
    ],
)
def test_few_pixels_are_convolved_as_before(batch, size, sides):
    assert LEAST_PIXELS == 1024
    model = decode_small(network("unet")).to("meta").eval()
    assert small_sides(model, torch.empty(batch, 2, size, size, device="meta")) == sides


@pytest.mark.parametrize(("least", "gflop", "share"), [(1, 36.1, 0.157), (LEAST_PIXELS, 37.4, 0.126)])
def test_a_resnet18_unet_takes_fewer_operations(monkeypatch, least, gflop, share):
    """Of 42.8 Gflop forward for a batch of the studies' (16 slices of 128 x 128, two channels): with every block, and
    without the first, whose 256 small pixels are convolved faster as before."""
    monkeypatch.setattr(subpixel, "LEAST_PIXELS", least)
    images = torch.empty(16, 2, 128, 128, device="meta")
    counted = []
    for model in (network("unet"), decode_small(network("unet"))):
        with FlopCounterMode(display=False) as counter:
            out = model.to("meta").train()(images)
        forward = counter.get_total_flops()
        with counter:
            out.sum().backward()
        counted.append((forward, counter.get_total_flops()))
    (before, step_before), (after, step_after) = counted
    assert before / 1e9 == pytest.approx(42.8, abs=0.05) and after / 1e9 == pytest.approx(gflop, abs=0.05)
    assert 1 - after / before == pytest.approx(share, abs=0.0005)
    assert 1 - step_after / step_before == pytest.approx(share, abs=0.002)


def fitted(tmp_path, device, model):
    settings = {"network": {"architecture": "unet", "encoder": "resnet18"}}
    study = study_of(tmp_path / "none.zarr", training=settings)
    began = begin(study, Trial("pet_mri", 0, 0), "d", device=device, precision="fp32")
    return Fit.start(model, study.training, began).network


def test_training_on_a_processor_decodes_small(tmp_path):
    assert small_sides(fitted(tmp_path, "cpu", network("unet")), torch.zeros(4, 2, 64, 64)) == [16, 32]


def test_training_on_a_gpu_decodes_as_before(tmp_path):
    """It was never run there. On tensors that claim to lie on a GPU and hold no data."""
    model = network("unet")
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            on_gpu = fitted(tmp_path, "cuda", model)
            assert small_sides(on_gpu, torch.empty(16, 2, 128, 128, device="cuda")) == []
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)


@pytest.mark.parametrize("more", [{"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}])
def test_a_block_that_does_more_is_not_replaced_silently(smp, more):
    model = smp.Unet("resnet18", encoder_weights=None, **more)
    with pytest.raises(ValueError, match=r"attention1|bilinear"):
        decode_small(model)
