"""How far values fall across a lesion's border: where the mask lies, on each side, mirrored, turned, moved, wider."""

import numpy as np
import pytest

from data_prep.placing.edges import TURNS, edges_of

SPACING = (4.0, 4.0, 4.0)  # mm: one voxel within is compared with one outside


def cube(lesion: float = 10.0, background: float = 2.0):
    """A block of 4 x 4 x 4 voxels, off the middle in all directions, in a flat background."""
    mask = np.zeros((20, 22, 24), bool)
    mask[3:7, 4:8, 5:9] = True
    return np.where(mask, lesion, background).astype(np.float32), mask


def test_a_block_falls_by_its_contrast_on_all_sides():
    """10 against 2, of a brightness of 4: 2.5 less 0.5."""
    found = edges_of(*cube(), SPACING, 0.0, 4.0)
    assert found["own"] == pytest.approx(2.0)
    assert found["sides"] == pytest.approx(
        dict.fromkeys(("head", "foot", "back", "front", "left", "right"), 2.0)
    )


def test_elsewhere_a_block_falls_where_its_border_still_lies():
    """Moved by half its width, the four sides along it still fall over half of their length: (4 x 2 / 2) / 6. Moved by
    its width, the side behind is its border turned about: -2 / 6. A voxel further in or out, and mirrored, both voxels
    of each pair are alike."""
    found = edges_of(*cube(), SPACING, 0.0, 4.0)["elsewhere"]
    assert {how for how, fall in found.items() if fall == pytest.approx(4 / 6)} == {
        f"moved 8 mm to the {side}" for side in ("head", "foot", "back", "front", "left", "right")
    }
    for how, fall in found.items():
        if "moved 8 mm" not in how and how not in TURNS:
            assert fall == pytest.approx(-2 / 6 if "moved 16 mm" in how else 0)
    assert len(found) == 3 + 7 + 12 + 4


@pytest.mark.parametrize("axis, how", list(enumerate(("foot to head", "front to back", "left to right"))))
def test_a_mirrored_mask_falls_where_it_is_mirrored_back(axis, how):
    image, mask = cube()
    found = edges_of(image, np.flip(mask, axis), SPACING, 0.0, 4.0)
    assert found["own"] == pytest.approx(0) and found["elsewhere"][f"mirrored from {how}"] == pytest.approx(
        2.0
    )


TURNED = {
    "turned by 180 degrees in the slice": lambda mask: mask[:, ::-1, ::-1],
    "mirrored from foot to head and from front to back": lambda mask: mask[::-1, ::-1],
    "mirrored from foot to head and from left to right": lambda mask: mask[::-1, :, ::-1],
    "with rows and columns exchanged": lambda mask: mask.swapaxes(1, 2),
    "with rows and columns exchanged and turned by 180 degrees": lambda mask: mask.swapaxes(1, 2)[
        :, ::-1, ::-1
    ],
    # NumPy turns from rows to columns, which is front to right; turned back it is front to left.
    "turned by 90 degrees in the slice, front to left": lambda mask: np.rot90(mask, 1, (1, 2)),
    "turned by 90 degrees in the slice, front to right": lambda mask: np.rot90(mask, -1, (1, 2)),
}


@pytest.mark.parametrize("how", TURNED)
def test_a_turned_mask_falls_where_it_is_turned_back_and_nowhere_else(how):
    mask = np.zeros((20, 24, 24), bool)
    mask[3:7, 2:6, 7:11] = True
    found = edges_of(np.where(mask, 10.0, 2.0).astype(np.float32), TURNED[how](mask), SPACING, 0.0, 4.0)
    assert found["own"] == pytest.approx(0) and set(TURNED) == set(TURNS)
    assert [turn for turn in TURNS if found["elsewhere"][turn] == pytest.approx(2.0)] == [how]


def test_where_slices_are_longer_than_wide_exchanged_rows_and_columns_are_stretched():
    """A mask of 12 x 24 pixels, of which 4 x 4 are lesion, exchanged and stretched to as many pixels: 2 x 8 are it."""
    mask = np.zeros((20, 12, 24), bool)
    mask[3:7, 2:6, 14:18] = True
    exchanged = mask.swapaxes(1, 2)[:, ::2].repeat(2, axis=2)
    found = edges_of(np.where(mask, 10.0, 2.0).astype(np.float32), exchanged, SPACING, 0.0, 4.0)
    assert exchanged.shape == mask.shape and exchanged.sum() == 4 * 2 * 8
    assert max(found["elsewhere"], key=found["elsewhere"].__getitem__) == "with rows and columns exchanged"
    assert found["elsewhere"]["with rows and columns exchanged"] > 1.0 > 0.1 > abs(found["own"])


def test_a_mask_that_is_a_voxel_too_wide_falls_further_in():
    image, mask = cube()
    wide = np.zeros_like(mask)
    wide[2:8, 3:9, 4:10] = True
    found = edges_of(image, wide, SPACING, 0.0, 4.0)
    assert found["own"] == pytest.approx(0)
    # 4 x 4 of the 6 x 6 voxels of each side lie before the block.
    assert found["elsewhere"]["with its border 4 mm further in"] == pytest.approx(2.0 * 16 / 36)


def test_half_a_mask_does_not_fall_where_it_is_cut():
    image, mask = cube()
    mask[5:] = False
    sides = edges_of(image, mask, SPACING, 0.0, 4.0)["sides"]
    assert sides.pop("head") == pytest.approx(0) and set(sides.values()) == {2.0}


def test_darker_lesions_rise_and_hot_spots_count_six_times_the_brightness():
    assert edges_of(*cube(1.0), SPACING, 0.0, 4.0)["own"] == pytest.approx(-0.25)
    assert edges_of(*cube(1e6), SPACING, 0.0, 4.0)["own"] == pytest.approx(5.5)


def test_a_side_at_the_end_of_the_image_is_none():
    image, mask = cube()
    found = edges_of(image[3:], mask[3:], SPACING, 0.0, 4.0)
    assert "foot" not in found["sides"] and len(found["sides"]) == 5 and found["own"] == pytest.approx(2.0)


def test_where_nothing_can_be_compared_there_is_none():
    image, mask = cube()
    assert edges_of(image, np.zeros_like(mask), SPACING, 0.0, 4.0) is None
    assert edges_of(image, np.ones_like(mask), SPACING, 0.0, 4.0) is None
    assert edges_of(image, mask, SPACING, 0.0, 0.0) is None
