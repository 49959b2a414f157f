"""A network that memory is too little for is no network that cannot be trained."""

import resource
from pathlib import Path

import pytest
from forked import Forked

from hnscc.study.variant_schema import Network
from hnscc.training.model import check_model


def check_in_little_memory() -> int:
    """In a process of its own: exit code 0 where the want of memory is raised as such."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    network = Network(architecture="paper", width=16)
    with pytest.raises(MemoryError, match="allocate"):
        check_model(network, 1, 4096, loss="binary_cross_entropy")
    return 0


def test_memory_that_is_too_little_to_try_a_network_is_told_as_that(tmp_path):
    """PyTorch raises RuntimeError then, and the user read that the network does not take slices of this size."""
    process = Forked(tmp_path, check_in_little_memory)
    out, err = process.communicate(timeout=120)
    assert process.poll() == 0, (out, err)
