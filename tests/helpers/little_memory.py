"""Runs in a process that has little memory. It is a module here, since a forked process imports it by its name, and
modules of tests have none."""

import resource
from pathlib import Path

import pytest

from hnscc.study.variant_schema import Network
from hnscc.training.network import check_network


def check_in_little_memory() -> int:
    """Check that lack of memory is raised as MemoryError; return exit code 0."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    network = Network(architecture="paper", width=16)
    with pytest.raises(MemoryError, match="allocate"):
        check_network(network, 1, 4096, loss="binary_cross_entropy")
    return 0
