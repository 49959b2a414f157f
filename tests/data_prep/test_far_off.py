"""Masks some cm beside their lesions are told, half of a cohort's even; right ones are not, nor what is cold."""

from dataclasses import replace

import numpy as np
import pytest
from scans import prepare, save, write
from scipy import ndimage
from stores import scan

from data_prep.oddities.far_off import far_off
from data_prep.oddities.off_border import off_border
from data_prep.placing.edges import clearest_within, edges_of

SHAPE, SPACING = (24, 44, 48), (4.0, 2.0, 2.0)
ROLLED = (2, 10, 10)  # voxels: by 8, 20 and 20 mm, 29 in all


def body(number: int, lift: float):
    """A blurred image with an ellipsoid that is `lift` brighter than its noisy surroundings, and its mask."""
    rng = np.random.default_rng(number)
    middle, radius_mm = (12 + rng.uniform(-1, 1), *(16 + rng.uniform(-2, 2, 2))), rng.uniform(12, 14)
    away = [(each - at) * mm for each, at, mm in zip(np.indices(SHAPE), middle, SPACING, strict=True)]
    mask = np.sqrt(sum(each**2 for each in away)) < radius_mm
    image = 2 + lift * rng.uniform(0.5, 1.5) * mask + rng.normal(0, 0.5, SHAPE)
    return ndimage.gaussian_filter(image, (0.6, 1.2, 1.2)).astype(np.float32), mask


def told(wrong: set[int], count: int, lift: float = 3.0, cold: frozenset[int] = frozenset(), known=()):
    """What is said by off_border, and by far_off, of so many scans, of which some have a mask that was moved, and some
    a lesion that does not stand out."""
    known_scans, scans = [], []
    for number in range(count):
        image, mask = body(number, 0.0 if number in cold else lift)
        drawn = np.roll(mask, ROLLED, (0, 1, 2)) if number in wrong else mask
        known_scans.append((image[:, None], drawn))
        placement = {
            "values": {"pet": {"first": 0.0, "tissue": {"last": 1.2}}},
            "lesion": {"edges": {"pet": edges_of(image, drawn, SPACING, 0.0, 1.2)}},
        }
        pixels = tuple(int(each) for each in drawn.sum(axis=(1, 2)))
        scans.append(replace(scan(f"p{number}", pixels), spacing_mm=SPACING, placement=placement))
    return list(off_border(scans, "pet")), list(far_off(scans, ["pet"], known, known_scans.__getitem__))


@pytest.mark.parametrize("lift", [3.0, -1.6], ids=["brighter", "darker"])
@pytest.mark.parametrize("wrong, count", [({1, 4}, 6), ({0, 2, 4}, 6), ({1, 2, 5}, 12), ({0, 3, 7, 9}, 12)])
def test_several_masks_29_mm_beside_their_lesions_are_told_together(wrong, count, lift):
    _, (odd,) = told(wrong, count, lift)
    names = ", ".join(f"p{number}_a" for number in sorted(wrong))
    assert odd.scan_id is None and odd.text.startswith(f"in {len(wrong)} scans ({names}), ")
    assert "does not stand out on pet where the mask lies, but about 2" in odd.text
    assert odd.text.endswith(" mm beside it as lesions of the other scans do: does the mask belong here?")
    assert set(odd.shown) == {(f"p{number}_a", "mask") for number in wrong}


def test_two_of_six_are_so_many_that_they_are_not_told_as_the_odd_ones():
    near, far = told({1, 4}, 6)
    assert near == [] and len(far) == 1


@pytest.mark.parametrize("lift", [3.0, -1.6, 0.05, 0.0])
def test_right_masks_are_not_told(lift):
    assert told(set(), 12, lift)[1] == []


def test_lesions_that_do_not_stand_out_are_not_told_while_nothing_near_them_does():
    assert told(set(), 12, cold=frozenset({0, 3, 7, 9}))[1] == []
    assert len(told({0}, 12, cold=frozenset({3, 7, 9}))[1]) == 1


def test_nothing_is_said_where_most_lesions_do_not_stand_out_or_something_likelier_is_told():
    assert told({0}, 12, cold=frozenset(range(1, 8)))[1] == []
    assert told({1, 4}, 6, known={("p1_a", "pet"), ("p4_a", "mask")})[1] == []


def test_the_clearest_border_is_found_with_its_distance_and_no_farther_than_asked():
    """A block of 4 mm voxels, 10 against 2 of a brightness of 4, that lies 3, 4 and 0 voxels off: 20 mm."""
    mask = np.zeros((20, 22, 24), bool)
    mask[3:7, 4:8, 5:9] = True
    image = np.where(np.roll(mask, (3, 4, 0), (0, 1, 2)), 10.0, 2.0).astype(np.float32)
    assert clearest_within(image, mask, (4.0, 4.0, 4.0), 0.0, 4.0, 20.0) == pytest.approx(
        (2.0, 20.0), abs=1e-5
    )
    fall, moved_mm = clearest_within(image, mask, (4.0, 4.0, 4.0), 0.0, 4.0, 19.0)
    assert fall < 1.6 and moved_mm <= 19
    assert clearest_within(image, np.zeros_like(mask), (4.0, 4.0, 4.0), 0.0, 4.0, 20.0) is None
    # At the end of the image: its last values go on beyond it.
    end = np.zeros_like(mask)
    end[:3, 4:8, 5:9] = True
    found = clearest_within(np.where(end, 10.0, 2.0), end, (4.0, 4.0, 4.0), 0.0, 4.0, 40.0)
    assert found == pytest.approx((2.0, 0.0), abs=1e-5)


def test_prepare_tells_two_of_six_masks(tmp_path):
    """The lesions of four scans have the masks that they should, those of two masks that were saved 29 mm beside."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    for number in range(6):
        image, mask = body(number, 3.0)
        drawn = np.roll(mask, ROLLED, (0, 1, 2)) if number in (1, 4) else mask
        image[:, :3] = image[:, -3:] = image[:, :, :3] = image[:, :, -3:] = 0.0  # air
        affine = np.diag([-2.0, -2.0, 4.0, 1.0])
        write(tmp_path / f"{number}.nii", image.T, affine)
        write(tmp_path / f"{number}-mask.nii", drawn.T.astype(np.uint8), affine)
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii"])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=48, workers=1)
    assert [text for text in store.odd if "does not stand out" in text] == [
        "in 2 scans (S1, S4), 2 of 6 with lesion, 0 of 0 without, the lesion does not stand out on pet where the mask "
        "lies, but about 29 mm beside it as lesions of the other scans do: does the mask belong here?"
    ]
