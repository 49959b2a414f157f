"""The benchmark of GPUs, tried on a processor, for where a GPU is lent there is no time to mend it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def benchmark(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARK), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_trainings_at_once_and_by_turns_leave_the_same_bits_and_speeds_are_told():
    small = ["--patients", "12", "--size", "32", "--epochs", "1", "41", "--at-once", "2", "--rounds", "1"]
    told = benchmark("bits", "alone", "packed", "--device", "cpu", "--network", "paper", *small)
    assert "leave alone: 1 of them" in told and "reached; no GPU, a rehearsal; 2 trainings" in told
    assert "100% in processes of their own, 100% by turns" in told
    assert "one training against eager PyTorch" in told and "several at once against one after" in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_measures_nothing_and_says_so():
    assert benchmark() == "skipped: PyTorch can use no GPU here\n"
