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


def of_block(
    own: float = 0.0,
    fall: float = 2.0,
    voxels: tuple[int, int, int] = (3, 4, 0),
    shown: int = 4,
    of: int = 5,
    sign: int = 1,
    **facts,
) -> list[str]:
    """What is said by the second of two modalities, the first of which shows nothing, of a mask across whose border
    values fall by `own` of a brightness of 4, beside scans in which they fall by 2; the lesion's, by `fall`, lies so
    many voxels of 4 mm beside the mask. Of `of` scans, so many others show their lesion. sign: -1 if it is darker."""
    mask = np.zeros((20, 22, 24), bool)
    mask[3:7, 4:8, 5:9] = True
    image = np.where(np.roll(mask, voxels, (0, 1, 2)), 20 + 4 * sign * fall, 20).astype(np.float32)
    scans = []
    for at in range(of):
        edge = {"own": sign * (own if at == 0 else 2.0 if at <= shown else 0.1), "sides": {}, "elsewhere": {}}
        placement = {
            "values": {"mri": {"first": 20.0, "tissue": {"last": 24.0}} | facts},
            "lesion": {"edges": {"pet": None, "mri": edge}},
        }
        scans.append(replace(scan(f"p{at}", (0, 4)), spacing_mm=(4.0, 4.0, 4.0), placement=placement))
    both = np.stack([np.full_like(image, 20), image], axis=1)
    plain = both[:, :1].repeat(2, axis=1)
    found = far_off(scans, ["pet", "mri"], (), lambda at: (plain if at else both, mask))
    return [
        f"{str(odd.scan_id)[:2]}: {odd.text.partition('about ')[2].partition(' beside')[0]}" for odd in found
    ]


@pytest.mark.parametrize("sign", [1, -1])
def test_how_clear_a_border_some_cm_away_must_be_by_hand(sign):
    """0.3 of the 2 that is usual, and four times what falls where the mask lies, which itself is less than a quarter of
    the most in any scan; up to 60 mm away."""
    assert of_block(sign=sign) == ["p0: 20 mm"] == of_block(fall=0.61, sign=sign)
    assert of_block(fall=0.59, sign=sign) == []
    assert of_block(0.15, 0.62, sign=sign) == ["p0: 20 mm"] and of_block(0.16, 0.62, sign=sign) == []
    assert of_block(0.49, 2.5, sign=sign) == ["p0: 20 mm"] and of_block(0.5, 2.5, sign=sign) == []
    assert of_block(voxels=(0, 0, 10), sign=sign) == ["p0: 40 mm"]


def test_three_scans_and_half_of_all_must_show_their_lesion_by_hand():
    assert of_block(shown=3) == of_block(shown=3, of=6) == ["p0: 20 mm"]
    assert of_block(shown=2, of=4) == of_block(shown=3, of=7) == []
    assert of_block(tissue=None) == [], "nothing but the lesion is shown"
