"""What models say of slices, where they say nothing that could be stored."""

import numpy as np
import pytest
import torch

from hnscc.base.errors import InputError
from hnscc.base.steps import at_once
from hnscc.cohort.slices import Slices
from hnscc.training.inference import predicting


class Given(torch.nn.Module):
    """Logits that are given, of one slice after another."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[:, None, None, None].expand(-1, 1, *images.shape[2:])


def said(*logits: float) -> np.ndarray:
    images, masks = np.zeros((len(logits), 1, 4, 4), np.float32), np.zeros((len(logits), 4, 4), np.uint8)
    slices = Slices(images, masks, np.arange(len(logits)), range(1), [(0.0, 1.0)])
    return at_once(predicting(Given(*logits), slices, device="cpu", precision="fp32"))


def test_no_number_is_no_probability():
    """NaN was stored as a probability of 0."""
    with pytest.raises(InputError, match=r"found: +NaN in 2 of 3 slices"):
        said(0.0, float("nan"), float("nan"))


def test_infinite_logits_are_probabilities_of_0_and_1():
    assert said(-float("inf"), float("inf"), 0.0)[:, 0, 0].tolist() == [0, 65535, 32768]
