import subprocess
import sys

import pytest
import torch

from hnscc.study.variant_schema import Network
from hnscc.training.adam import Adam
from hnscc.training.network import build_network

PAPER = Network(architecture="paper", width=8)
RESNET = Network(architecture="unet", encoder="resnet18")


def steps(model, optimiser, forget, count):
    images, towards = torch.rand(4, 2, 32, 32), torch.rand(4, 1, 32, 32)
    for step in range(count):
        torch.manual_seed(step)
        loss = (model(images.to(memory_format=torch.channels_last)) - towards).square().mean()
        forget()
        loss.backward()
        assert all(each.grad.stride() == each.stride() for each in model.parameters())
        optimiser.step()


@pytest.mark.parametrize("network", [PAPER, RESNET])
def test_it_is_pytorchs_adam_for_networks_laid_out_for_images(network):
    """The fused kernel is silently wrong where weight, gradient and moments differ in their order in memory."""
    trained = []
    for ours in (True, False):
        model = build_network(network, 2, seed=3).to(memory_format=torch.channels_last)
        torch.manual_seed(7)
        if ours:
            optimiser = Adam(model.parameters(), learning_rate=0.01, epsilon=1e-7)
            steps(model, optimiser, optimiser.forget_gradients, 3)
        else:
            optimiser = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-7)
            steps(model, optimiser, optimiser.zero_grad, 3)
        trained.append([each.detach() for each in model.parameters()])
    for ours, plain in zip(*trained, strict=True):
        # Apart by rounding, here and there by more where a gradient is nearly 0; a wrong order moves all by 0.01.
        assert (ours - plain).abs().mean().item() < 5e-4


def test_one_step_by_hand():
    """The first step moves each weight by the learning rate against its gradient's sign, but for epsilon."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    weight.grad = torch.tensor([0.5, -4.0, 0.0])
    unused = torch.nn.Parameter(torch.ones(2))
    optimiser = Adam([weight, unused], learning_rate=0.1, epsilon=1e-7)
    optimiser.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, 2.1, 3.0]))
    assert torch.equal(unused.detach(), torch.ones(2))


def test_three_steps_by_the_papers_algorithm():
    """Algorithm 1 of Kingma and Ba 2015, in Python's numbers; epsilon is so large that its place counts."""
    weight, value, first, second = torch.nn.Parameter(torch.tensor([2.0])), 2.0, 0.0, 0.0
    optimiser = Adam([weight], learning_rate=0.1, epsilon=0.5)
    for step, gradient in enumerate((0.5, -4.0, 1.5), start=1):
        weight.grad = torch.tensor([gradient])
        optimiser.step()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9**step), second / (1 - 0.999**step)
        value -= 0.1 * unbiased[0] / (unbiased[1] ** 0.5 + 0.5)
        assert weight.item() == pytest.approx(value, rel=1e-5)


def test_a_copy_of_its_state_continues_to_the_same_bits():
    torch.manual_seed(0)
    start = torch.randn(6, 3, 3, 3).to(memory_format=torch.channels_last)
    gradients = torch.randn(4, 6, 3, 3, 3)
    whole = torch.nn.Parameter(start.clone())
    optimiser = Adam([whole], learning_rate=0.1, epsilon=1e-7)
    for i, gradient in enumerate(gradients):
        if i == 2:
            kept = {name: value.contiguous().clone() for name, value in optimiser.state().items()}
            part = torch.nn.Parameter(whole.detach().clone())
        whole.grad = gradient.to(memory_format=torch.channels_last)
        optimiser.step()
    resumed = Adam([part], learning_rate=0.1, epsilon=1e-7)
    resumed.load(kept)
    for gradient in gradients[2:]:
        part.grad = gradient.to(memory_format=torch.channels_last)
        resumed.step()
    assert torch.equal(part, whole)


@pytest.mark.slow
def test_training_the_papers_network_does_not_load_pytorchs_compiler():
    """150 MB and a second in each worker. (What segmentation-models-pytorch imports does.)"""
    code = """
import sys, torch, hnscc.training.trial
from hnscc.training.adam import Adam
from hnscc.study.variant_schema import Network
from hnscc.training.network import build_network
model = build_network(Network(architecture="paper", width=4), 2, seed=0)
optimiser = Adam(model.parameters(), learning_rate=0.01, epsilon=1e-7)
with torch.autocast("cpu", torch.bfloat16):
    model(torch.rand(2, 2, 32, 32)).float().mean().backward()
optimiser.step()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
