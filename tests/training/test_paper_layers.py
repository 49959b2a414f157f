"""The layers of the paper's network compute what PyTorch's do, and choose at random what they should."""

import pytest
import torch
from torch.nn import functional

from hnscc.study.variant_schema import Network
from hnscc.training.network import build_network
from hnscc.training.paper_unet import Doubling, Dropout, seed_dropouts

PAPER = Network(architecture="paper", width=16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(dtype):
    source = torch.Generator()
    layer = Dropout(0.3, source=source)
    ones = torch.ones(7, 5, 33, 31, dtype=dtype).to(memory_format=torch.channels_last)
    source.manual_seed(1)
    out = layer(ones)
    assert out.dtype == dtype and out.stride() == ones.stride()
    scale = torch.tensor(65536 / (65536 - 19661), dtype=dtype).item()  # 0.3 of 65536 are 19660.8
    assert out.unique().tolist() == [0.0, scale]
    n = ones.numel()
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / n) ** 0.5)
    source.manual_seed(1)
    assert torch.equal(layer(ones), out)
    assert not torch.equal(layer(ones), out)
    assert torch.equal(layer.eval()(ones), ones)


def test_dropout_that_keeps_one_value_of_65536_keeps_that_one():
    """Of 2**22 values 64 are kept, give or take 8, and each is multiplied by 65536."""
    out = Dropout(65535 / 65536, source=torch.Generator().manual_seed(3))(torch.ones(2**22))
    assert out.unique().tolist() == [0.0, 65536.0]
    assert 32 <= (out != 0).sum() <= 96


def test_the_network_computes_what_its_layers_say():
    """By PyTorch's functions and the weights' names: what was trained before is read as it was."""
    model, images = build_network(PAPER, 2, seed=4).eval(), torch.rand(2, 2, 32, 48)
    with torch.no_grad():
        for bias in (each for name, each in model.named_parameters() if name.endswith("bias")):
            bias.normal_(std=0.1)
        weights = model.state_dict()

        def block(name, features):
            for layer in (0, 3):
                given = weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"]
                features = functional.relu(functional.conv2d(features, *given, padding=1))
            return features

        skips = [block("down.0", images)]
        for level in (1, 2, 3, 4):
            skips.append(block(f"down.{level}", functional.max_pool2d(skips[-1], 2)))
        features = skips.pop()
        for level in range(4):
            given = weights[f"up.{level}.weight"], weights[f"up.{level}.bias"]
            doubled = functional.conv_transpose2d(features, *given, stride=2)
            features = block(f"merge.{level}", torch.cat([doubled, skips.pop()], dim=1))
        expected = functional.conv2d(features, weights["output.weight"], weights["output.bias"])
        torch.testing.assert_close(model(images), expected)


def test_dropout_chooses_from_its_own_source_alone():
    """Whatever else takes from PyTorch's generator, in between or in other trials of the process, moves no choice."""
    model, images = build_network(PAPER, 1, seed=0).train(), torch.ones(1, 1, 32, 32)
    found = []
    for around in (1, 2):
        torch.manual_seed(around)
        before = torch.get_rng_state()
        seed_dropouts(model, 7)
        found.append(model(images))
        assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"
    assert torch.equal(*found)
    seed_dropouts(model, 8)
    assert not torch.equal(model(images), found[0])
    assert len({id(each.source) for each in model.modules() if isinstance(each, Dropout)}) == 1


def test_dropout_chooses_every_position_apart():
    """No slice, channel or pixel is dropped more often than others, nor together with its neighbour."""
    source = torch.Generator().manual_seed(2)
    dropped = (Dropout(0.2, source=source)(torch.ones(4000, 4, 4)) == 0).double()
    assert dropped.mean(0).sub(0.2).abs().max().item() < 5 * (0.16 / 4000) ** 0.5
    centred = dropped.flatten() - 0.2
    for lag in (1, 2, 3, 4, 16, 64):
        correlation = (centred[:-lag] * centred[lag:]).mean().item() / 0.16
        assert abs(correlation) < 5 / 64000**0.5, lag


def test_dropout_lets_gradients_through_where_it_kept():
    values = torch.randn(3, 4, 6, 6, requires_grad=True)
    out = Dropout(0.5, source=torch.Generator())(values)
    out.sum().backward()
    assert torch.equal(values.grad, (out != 0) * 2.0)


@pytest.mark.parametrize("channels_last", [False, True])
def test_doubling_is_the_transposed_convolution(channels_last):
    torch.manual_seed(0)
    ours, theirs = Doubling(6, 3), torch.nn.ConvTranspose2d(6, 3, 2, stride=2)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 6, 5, 7)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    towards = torch.randn(2, 3, 10, 14)
    found = []
    for layer in (ours, theirs):
        given = images.clone().requires_grad_()
        out = layer(given)
        (out * towards).sum().backward()
        found.append((out.detach(), given.grad, layer.weight.grad, layer.bias.grad))
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)
