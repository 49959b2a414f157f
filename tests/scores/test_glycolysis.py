"""Total lesion glycolysis at every threshold, by hand and against the volumes of each mask."""

import numpy as np
import pytest

from hnscc.scores.counts import positive
from hnscc.scores.stored import glycolysis, of_scans, stored_form

SPACING = (5.0, 10.0, 20.0)  # a voxel is 1 ml


def test_by_hand():
    """Voxels of SUV 2, 3, 4, 5; the truth is the first two; probabilities 1, 0.5, 0.4999, 0."""
    uptake = np.array([[[2.0, 3.0, 4.0, 5.0]]], np.float32)
    truth = np.array([[[True, True, False, False]]])
    levels = np.array([[[65535, 32768, 32767, 0]]], np.uint16)
    found = glycolysis(levels, truth, uptake, SPACING)
    assert found[0] == 5.0  # 2 ml of mean SUV 2.5
    assert (found[1], found[499], found[500], found[501], found[1000]) == (9.0, 9.0, 5.0, 2.0, 2.0)
    assert glycolysis(levels, truth, uptake, (5.0, 10.0, 10.0))[1] == 4.5


def test_at_every_threshold_it_is_that_of_the_mask():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 65536, (3, 5, 7)).astype(np.uint16)
    levels.ravel()[:4] = 0, 65535, 32767, 32768
    truth, uptake = rng.random(levels.shape) < 0.2, rng.gamma(2.0, 2.0, levels.shape)
    found = glycolysis(levels, truth, uptake, (3.0, 1.5, 2.5))
    assert found[0] == pytest.approx(uptake[truth].sum() * 3.0 * 1.5 * 2.5 / 1000)
    for k in range(1, 1001):
        of_mask = uptake[positive(levels, k)].sum() * 3.0 * 1.5 * 2.5 / 1000
        assert found[k] == pytest.approx(of_mask, abs=1e-12)


def test_without_a_finite_uptake_there_is_none():
    levels, truth, uptake = np.ones((1, 2, 2), np.uint16), np.ones((1, 2, 2), bool), np.ones((1, 2, 2))
    uptake[0, 1, 1] = np.inf
    assert np.isnan(glycolysis(levels, truth, uptake, SPACING)).all()
    with pytest.raises(ValueError, match="of one shape"):
        glycolysis(levels, truth, uptake[:, :1], SPACING)


def test_what_is_stored_of_scans_comes_back_under_their_names_in_whatever_order_they_are_named():
    found = {scan: np.arange(1001.0) * size for scan, size in {"p2": 2, "p10": 10, "p1": 1}.items()}
    stored = stored_form(found)
    assert stored.dtype == np.float32 and stored.shape == (3, 1001)
    for names in (["p10", "p2", "p1"], ["p1", "p10", "p2"]):
        back = of_scans(stored, names)
        assert {scan: curve[1] for scan, curve in back.items()} == {"p1": 1, "p2": 2, "p10": 10}
    for wrong in (["p1", "p2"], []):
        with pytest.raises(ValueError, match=r"glycolysis of \(3, 1001\), not \("):
            of_scans(stored, wrong)
