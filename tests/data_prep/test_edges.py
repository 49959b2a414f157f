"""How far values fall across a lesion's border: where the mask lies, on each side, mirrored, moved, and wider."""

import numpy as np
import pytest

from data_prep.placing.edges import edges_of

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
        if "moved 8 mm" not in how:
            assert fall == pytest.approx(-2 / 6 if "moved 16 mm" in how else 0)
    assert len(found) == 3 + 12 + 4


@pytest.mark.parametrize("axis, how", list(enumerate(("foot to head", "front to back", "left to right"))))
def test_a_mirrored_mask_falls_where_it_is_mirrored_back(axis, how):
    image, mask = cube()
    found = edges_of(image, np.flip(mask, axis), SPACING, 0.0, 4.0)
    assert found["own"] == pytest.approx(0) and found["elsewhere"][f"mirrored from {how}"] == pytest.approx(
        2.0
    )


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
