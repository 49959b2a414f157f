"""What a process with little memory of its own does; here, since a process that is forked off imports it by its name,
which no module of tests has."""

import resource
from pathlib import Path

import pytest

from hnscc.study.variant_schema import Network
from hnscc.training.network import check_network


def check_in_little_memory() -> int:
    """Exit code 0 where the want of memory is raised as such."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    network = Network(architecture="paper", width=16)
    with pytest.raises(MemoryError, match="allocate"):
        check_network(network, 1, 4096, loss="binary_cross_entropy")
    return 0
