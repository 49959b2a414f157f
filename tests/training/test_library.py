"""The library of networks is loaded without PyTorch's compiler, which is there for whoever asks for it afterwards."""

import subprocess
import sys

import pytest

LOAD = """
import sys
from hnscc.study.variant_schema import Network
from hnscc.training.library import smp
from hnscc.training.network import check_network
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "sympy"))])
import torch, torchvision
smp.create_model("unet", "resnet18", encoder_weights=None, in_channels=2)(torch.zeros(2, 2, 64, 64))
check_network(Network(architecture="unet", encoder="resnet18"), 2, 64, [2], loss="binary_cross_entropy")
print("torch._dynamo" in sys.modules)
from torch._dynamo.utils import is_compile_supported
print(is_compile_supported("cpu"), callable(torch._dynamo.optimize), torch._dynamo is sys.modules["torch._dynamo"])
"""


def test_python_without_docstrings_is_one_message():
    """It ended in the library's own TypeError."""
    loaded = [sys.executable, "-OO", "-c", "import hnscc.training.library"]
    done = subprocess.run(loaded, capture_output=True, text=True)
    assert "InputError: Python was started without docstrings" in done.stderr


@pytest.mark.slow
def test_the_compiler_is_not_loaded_and_is_whole_for_who_asks_for_it():
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "False", "True True True"], done.stdout + done.stderr
