"""A body that a field of view cuts off is not called sheared; one that is sheared is, whatever value its air holds."""

import re

import numpy as np
import pytest
from scans import prepare, save, write

from data_prep.placing.bodies import placed_bodies
from data_prep.placing.cut_outlines import cut_off

SIZE = 80
ROWS, COLUMNS = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
VOXEL, SLICES = np.array([3.0, 3.0, 6.0]), 12  # mm
LEAN = 0.5  # mm per mm
SHEARED = r"shows a body of another shape than .* sheared from slice to slice by 0\.\d\d mm per mm"


def disc(radius):
    return (np.hypot(ROWS, COLUMNS) < radius)[None]


@pytest.mark.parametrize("turned", [0, 20, 45, 90])
def test_a_disc_cut_off_by_a_straight_border_by_hand(turned):
    """At 10 of 25 pixels from its centre: a chord of 46 beside an arc of 99, and 3 pixels of the arc at either end."""
    along = np.cos(np.radians(turned)) * COLUMNS + np.sin(np.radians(turned)) * ROWS
    beyond = (along > 10)[None]
    (share,) = cut_off(disc(25) & ~beyond, beyond)
    assert share == pytest.approx((45.8 + 2 * 3.3) / (45.8 + 99.1), abs=0.06)


@pytest.mark.parametrize("radius", [6, 10, 20, 35])
def test_air_of_the_lowest_value_around_a_disc_cuts_nothing_off(radius):
    assert cut_off(disc(radius), ~disc(radius)) == [0.0]


def test_the_border_of_the_slice_and_slices_without_a_body_or_a_lowest_value_cut_nothing_off():
    half = (COLUMNS > 0)[None]
    empty = np.zeros_like(half)
    for body, lowest in ((half, empty), (half, ~half & (COLUMNS > -3)), (empty, half), (disc(20), ~empty)):
        assert cut_off(body, lowest) == [0.0]


def test_slices_that_are_cut_off_do_not_tell_how_a_body_leans():
    """Four slices of twelve, cut off on both sides 6 pixels beside the middle, change nothing; eight leave it out."""
    shown = np.repeat(disc(25), SLICES, axis=0)
    for cut, known in ((4, True), (8, False)):
        lowest = np.zeros_like(shown)
        lowest[-cut:] = abs(COLUMNS - 6) > 8
        pet, mri = placed_bodies([shown, shown & ~lowest], (6.0, 3.0, 3.0), [np.zeros_like(shown), lowest])
        assert ("shear" in pet, "lean_left" in mri) == (known, known)
        if known:
            assert (mri["lean_left"], mri["lean_back"], mri["shear"]) == (
                0.0,
                0.0,
                pytest.approx(0, abs=0.02),
            )


def limbs(folder, changed):
    """Eight scans of a limb on PET and MRI, with lesion; `changed` gives the MRI of the third from how far its voxels
    lie from the middle of the limb in mm, along x, y and z, the limb's radius, its tissue, and its noisy air."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(8):
        rng = np.random.default_rng(number)
        shape = (64, 64, SLICES)
        x, y, z = (np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2) * VOXEL[
            :, None, None, None
        ]
        x, y = x - rng.normal(0, 3), y - rng.normal(0, 3)
        radius = rng.normal(60, 2)
        tissue, air = 100 + rng.normal(0, 8, shape), 6 + rng.normal(0, 2, shape).clip(-5)
        skin = np.hypot(x / 1.1, y) < radius
        mri = np.where(skin, tissue, air)
        if number == 2:
            mri = changed(x, y, z, radius, tissue, air)
        mask = np.hypot(np.hypot(x, y), z) < 15
        pet = np.where(np.hypot(x / 1.1, y) < radius - 2, 2.0, 0.1) + mask
        pet = pet * rng.uniform(0.8, 1.2, shape)
        for name, data in (("pet", pet), ("mri", mri), ("mask", mask)):
            kind = np.uint8 if name == "mask" else np.float32
            write(
                folder / f"s{number}" / f"{name}.nii", data.astype(kind), np.diag([*(VOXEL * [-1, -1, 1]), 1])
            )
        rows.append(
            [f"P{number}", f"S{number}", *(f"s{number}/{name}.nii" for name in ("pet", "mri", "mask"))]
        )
    return save(folder, rows)


def in_oblique_field(x, y, z, radius, tissue, air):
    """The limb as it is, in a field of view that leans over it and ends at the lowest value."""
    shown = np.where(np.hypot(x / 1.1, y) < radius, tissue, air)
    turned = x * np.cos(0.3) + y * np.sin(0.3) - LEAN * z
    return np.where((abs(turned) < 70) & (abs(y * np.cos(0.3) - x * np.sin(0.3)) < 75), shown, 0)


def leaning(x, y, z, radius, tissue, air):
    """The limb leans; its air holds the lowest value."""
    return np.where(np.hypot((x - LEAN * z) / 1.1, y) < radius, tissue, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "told"), [(in_oblique_field, False), (leaning, True)])
def test_a_sheared_body_is_told_and_one_that_an_oblique_field_cuts_off_is_not(tmp_path, changed, told):
    store = prepare(limbs(tmp_path, changed), tmp_path / "store.zarr", size=64, workers=1)
    sheared = [odd for odd in store.odd if re.search(SHEARED, str(odd))]
    assert [("S2" in str(odd)) for odd in sheared] == [True] * told
