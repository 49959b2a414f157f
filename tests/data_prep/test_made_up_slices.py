"""Slices that show one image with fresh noise, or were made up at an end: neighbours tell."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.placing.absent import absent


def changing(seed: int = 0) -> np.ndarray:
    """A body whose texture changes from slice to slice (x, y, z), in noise."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (48, 48, 30)), (5, 5, 1.5))
    disc = np.hypot(*(np.indices((48, 48)) - 23.5))[:, :, None] < 20
    return (disc * (500 + 150 * texture / texture.std()) + rng.normal(0, 15, (*disc.shape[:2], 30))).astype(
        np.float32
    )


@pytest.mark.parametrize(
    "fill", [lambda data: data[:, :, 17:18], lambda data: data[:, :, :18].mean(2, keepdims=True)]
)
def test_one_image_with_fresh_noise_in_every_slice_is_found(fill):
    data = changing()
    assert absent(data) is None
    data[:, :, 18:] = fill(data) + np.random.default_rng(1).normal(0, 15, (48, 48, 12))
    marked = absent(data)
    found = np.flatnonzero(marked.all(axis=(0, 1)))
    assert set(range(20, 30)) <= set(found) <= set(range(17, 30))


def test_thin_slices_of_a_limb_that_hardly_changes_are_whole():
    """The same texture all along, or one that changes little anywhere: nothing stands against anything else."""
    rng = np.random.default_rng(1)
    assert absent((changing()[:, :, :1] + rng.normal(0, 15, (48, 48, 30))).astype(np.float32)) is None
    slow = ndimage.zoom(changing()[:, :, :8], (1, 1, 4), order=1)
    assert absent((slow + rng.normal(0, 15, slow.shape)).astype(np.float32)) is None


def ended(how, low: bool) -> tuple[np.ndarray, np.ndarray]:
    """A body that changes from slice to slice and reaches both ends, its last 6 slices made up; and whether each is."""
    data = changing()[:, :, :24].copy()
    how(data, len(data.T) - 6)
    made = np.arange(data.shape[2]) >= data.shape[2] - 6
    return (np.ascontiguousarray(data[:, :, ::-1]), made[::-1]) if low else (data, made)


def ever_more_blurred(data: np.ndarray, begin: int) -> None:
    for z in range(begin, data.shape[2]):
        data[:, :, z] = ndimage.gaussian_filter(data[:, :, begin - 1], 0.6 * (z - begin + 1))


def of_many(data: np.ndarray, begin: int) -> None:
    data[:, :, begin:] = np.mean(
        [changing(seed)[:, :, begin : data.shape[2]] for seed in range(1, 13)], axis=0
    )


def mirrored_between(data: np.ndarray, begin: int) -> None:
    data[:, :, begin:] = data[:, :, begin - 1 : begin - 7 : -1]


@pytest.mark.parametrize("low", [False, True], ids=["head", "foot"])
@pytest.mark.parametrize("how", [ever_more_blurred, of_many, mirrored_between])
def test_slices_made_up_at_an_end_are_found(how, low):
    """Of two that are the same at the mirror the later one counts as the copy, too."""
    data, made = ended(how, low)
    found = absent(data).all(axis=(0, 1))
    assert found[made].all() and found.sum() - made.sum() <= (low and how is mirrored_between)
