"""A network that memory is too little for is no network that cannot be trained."""

import pytest
from forked import Forked
from little_memory import check_in_little_memory


@pytest.mark.slow
def test_memory_that_is_too_little_to_try_a_network_is_told_as_that(tmp_path):
    """PyTorch raises RuntimeError then, and the user read that the network does not take slices of this size."""
    process = Forked(tmp_path, check_in_little_memory)
    out, err = process.communicate(timeout=120)
    assert process.poll() == 0, (out, err)
