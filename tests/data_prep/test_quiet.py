"""What libraries say of a file's content is kept back, whichever threads read at once."""

import logging
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk

from data_prep.dicom.header import quiet
from data_prep.files.read import read_grid


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


def test_threads_that_read_metaimage_at_once_leave_standard_error_where_it_was(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.float32)), tmp_path / "a.mha")
    before, interval = os.fstat(2), sys.getswitchinterval()
    ours = os.dup(2)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            grids = [*threads.map(lambda _: read_grid(tmp_path / "a.mha", "S"), range(200))]
        assert {grid.shape for grid in grids} == {(4, 3, 2)} and os.path.samestat(os.fstat(2), before)
    finally:
        sys.setswitchinterval(interval)
        os.dup2(ours, 2)
        os.close(ours)
