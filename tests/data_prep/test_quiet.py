"""What libraries say of a file's content is kept back, whichever threads read at once."""

import logging
import warnings

import pytest

from data_prep.dicom.header import quiet


@pytest.mark.parametrize("first", [0, 1])
def test_blocks_that_end_crosswise_stay_quiet_to_the_last_and_leave_all_as_it_was(first):
    before = logging.root.manager.disable, list(warnings.filters)
    blocks = [quiet(), quiet()]
    for block in blocks:
        block.__enter__()
    blocks[first].__exit__(None, None, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("a name", stacklevel=1)
    assert not caught and logging.root.manager.disable == logging.CRITICAL
    blocks[1 - first].__exit__(None, None, None)
    assert (logging.root.manager.disable, list(warnings.filters)) == before
