"""Lesions that are no lesions, below a quarter of the body: too large, in air, of impossible shape, or inverted."""

import csv
import re
from collections.abc import Callable

import numpy as np
import pytest
from facts import facts, told
from scans import prepare, save, sts, write

from data_prep.placing.drawn_shape import is_box, skipped_slices, spanned
from hnscc.base.errors import InputError
from hnscc.cohort.store import Store

Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]


def necks(folder, draw: Draw, count: int = 7) -> list[str]:
    """What is odd about a cohort of hot balls of about 60 ml in discs, of which the mask of scan S1 is drawn by `draw`
    from the lesion and the image."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    x, y, z = np.indices((48, 48, 12))
    disc = (x - 23.5) ** 2 + (y - 23.5) ** 2 < 18**2
    for number in range(count):
        rng = np.random.default_rng(number)
        reach = rng.uniform(5, 6.5)
        middle = (16 + 2 * number, 24)
        lesion = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (2 * (z - 6)) ** 2 < reach**2
        pet = rng.gamma(4, 0.05, disc.shape) + disc * rng.normal(1, 0.1, disc.shape) + 5 * lesion
        mask = draw(lesion, pet) if number == 1 else lesion
        write(folder / f"{number}.nii", pet.astype(np.float32))
        write(folder / f"{number}-mask.nii", mask.astype(np.uint8))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii"])
    store = prepare(save(folder, rows), folder / "s.zarr", size=48, workers=1, accept_odd="a test")
    return [text for text in store.odd if not text.startswith("accepted")]


def _slice(lesion, pet):
    return lesion | (np.arange(12) == 2)


def _frame(lesion, pet):
    x, y, _ = np.indices(lesion.shape)
    return lesion | (x == 0) | (x == 47) | (y == 0) | (y == 47)


def _corner(lesion, pet):
    x, y, _ = np.indices(lesion.shape)
    return (x < 8) & (y < 8)


def _brightest(lesion, pet):
    return pet > np.percentile(pet, 91)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda lesion, pet: lesion, []),
        (
            _slice,
            [
                "% of the lesion lies in air",
                "from border to border of the plane in 1 of 12 slices",
                "times the",
            ],
        ),
        (
            _frame,
            [
                "% of the lesion lies in air",
                "from border to border of the plane in 12 of 12 slices",
                "times the",
            ],
        ),
        (
            _corner,
            ["100% of the lesion lies in air", "a box with straight edges", "does not stand out on pet"],
        ),
        (_brightest, ["times the median lesion"]),
        (lambda lesion, pet: lesion[::-1], ["the lesion does not stand out on pet"]),
    ],
    ids=["as it is", "one slice", "frame", "corner of air", "brightest tenth", "mirrored"],
)
def test_masks_that_are_no_lesion_are_told(tmp_path, draw, words):
    found = necks(tmp_path, draw)
    assert all(text.startswith("scan S1: ") for text in found) and bool(found) == bool(words)
    for word in words:
        assert any(word in text for text in found)


@pytest.mark.parametrize("factor, told_", [(2.9, None), (9.0, "8.18 times"), (1 / 9, "1/9.9 of")])
def test_volumes_are_compared_with_the_median_lesion(factor, told_):
    """Lesions of 1, 1.1 (in the middle), 1.2 and so on; the fourth is changed."""
    volumes = [1.0, 1.2, 0.9, factor, 1.1, 1.3]
    found = told(facts(12, **{f"l{2 * at + 1}": {"ml": ml} for at, ml in enumerate(volumes)}))
    usual = float(np.median(volumes))
    expected = [] if told_ is None else [("p7_a", _text(factor, usual), False)]
    assert found == expected


def _text(ml: float, usual: float) -> str:
    times = f"{ml / usual:.3g} times" if ml > usual else f"1/{usual / ml:.3g} of"
    return f"the lesion is {times} the median lesion ({ml:.4g} ml, {usual:.4g} ml)"


@pytest.mark.parametrize(
    "larger, told_",
    [
        ([9.0, 7.0, 10.0], ["7.83", "6.09", "8.7"]),  # the median is 1.15 ml
        ([9.0, 7.0, 10.0, 8.0], ["7.2", "5.6", "8", "6.4"]),  # 1.25 ml
        ([9.0, 5.0, 10.0], []),  # 3.8 times the next smaller one
        ([9.0, 3.0, 10.0, 1.8], []),  # every size occurs
        ([9.0], []),  # told alone
    ],
)
def test_several_lesions_far_larger_than_all_others_are_told(larger, told_):
    """Three or four of ten, as masks of a quarter of the head are: what lesions differ by is spoilt by them."""
    volumes = [*larger, 1.3, 0.5, 0.9, 1.2, 0.8, 1.1, 1.0, 1.0, 0.9][:10]
    found = told(facts(20, **{f"l{2 * at + 1}": {"ml": ml} for at, ml in enumerate(volumes)}))
    together = [text for _, text, _ in found if f", one of {len(larger)} lesions of such a size" in text]
    assert [text.split(" times ")[0] for text in together] == [f"the lesion is {times}" for times in told_]
    assert len(together) == sum("of such a size" in text for _, text, _ in found)


def test_of_few_lesions_none_is_compared():
    assert told(facts(8, l1={"ml": 50.0, "box": True})) == []


@pytest.mark.parametrize("share, refused", [(0.1, None), (0.11, False), (0.5, False), (0.51, True)])
def test_a_lesion_in_air_is_told_and_refused_where_most_of_it_is(share, refused):
    found = told(facts(8, l1={"share_in_air": share}))
    text = f"{share:.0%} of the lesion lies in air, outside of the body: does the mask belong here?"
    assert found == ([] if refused is None else [("p1_a", text, refused)])


def test_slices_left_out_of_a_mask_are_told_and_those_between_two_lesions_are_not():
    text = "the mask leaves out 3 slices between slices with lesion at the same place: were they drawn?"
    assert told(facts(8, l1={"left_out": 3})) == [("p1_a", text, False)]
    voxels = np.zeros((9, 10, 12), bool)
    voxels[::2, 2:8, 3:9] = True
    assert skipped_slices(voxels) == 4
    voxels[1::2, 2, 3] = True
    assert skipped_slices(voxels) == 0
    apart = np.zeros((9, 10, 12), bool)
    apart[2, :4], apart[4, 6:] = True, True
    assert skipped_slices(apart) == 0
    above = np.zeros((9, 10, 12), bool)
    above[2, :2, :4], above[4, 1:, 3:] = True, True  # one voxel of both, of 8 and 81
    assert skipped_slices(above) == 0, "two lesions of the demo, one above the other, were told"


def test_boxes_are_told_where_they_are_few():
    some = {f"l{number}": {"box": True} for number in (1, 3)}
    assert [(scan_id, "box" in text) for scan_id, text, _ in told(facts(12, **some))] == [
        ("p1_a", True),
        ("p3_a", True),
    ]
    for boxes in (6, 3):
        scans = facts(12, **{f"l{number}": {"box": True} for number in range(1, 2 * boxes, 2)})
        assert told(scans) == [], "half of them are not few"


def test_an_empty_mask_is_told_where_others_have_none():
    changed = {f"l{number}": {"drawn_on": None} for number in range(0, 8, 2) if number != 4}
    assert told(facts(8, **changed)) == [
        ("p4_a", "the mask is empty; most scans without lesion have no mask: was it lost?", False)
    ]
    assert told(facts(8)) == []
    half = {f"l{number}": {"drawn_on": None} for number in (0, 2)}
    assert told(facts(8, **half)) == [], "half of them are not most"


def test_shapes_are_counted_voxel_by_voxel():
    voxels = np.zeros((4, 10, 12), bool)
    assert spanned(voxels) == 0 and not is_box(voxels)
    voxels[1, 2:8, 3:9] = True
    assert spanned(voxels) == 0 and is_box(voxels)
    voxels[1, 2, 3] = False
    assert not is_box(voxels)
    voxels[2, 5, :] = True
    voxels[3, 0, 4] = voxels[3, 9, 7] = True
    assert spanned(voxels) == 2
    small = np.zeros((4, 10, 12), bool)
    small[1:3, 2:6, 3:9] = True
    assert not is_box(small)


def limbs(folder, inverted: bool) -> Store:
    """Three patients whose limb is 48 mm wide and holds a lesion of 14 mm in its middle, of 8.5 % of it; stored slices
    of 16 x 16 mm. In S1 the mask may be inverted: the limb without the lesion."""
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    x, y, _ = np.indices((64, 64, 4))
    far = np.hypot(x - 31.5, y - 31.5)
    limb, lesion = far < 24, far < 7
    for number in range(3):
        rng = np.random.default_rng(number)
        pet = rng.gamma(4, 0.05, limb.shape) + limb * rng.normal(2, 0.1, limb.shape) + 5 * lesion
        drawn = limb & ~(far < 17) if inverted and number == 1 else lesion
        write(folder / f"{number}.nii", pet.astype(np.float32))
        write(folder / f"{number}-mask.nii", drawn.astype(np.uint8))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-mask.nii"])
    size = {"size": 32, "pixel_mm": 1.5} if inverted else {"size": 16, "pixel_mm": 1.0}
    return prepare(save(folder, rows), folder / "s.zarr", workers=1, **size)


def test_slices_that_show_little_but_lesion_have_no_inverted_mask(tmp_path):
    """Lesion is 154 of 1,804 pixels of the limb, of 2,124 with the two that means over 5 x 5 pixels widen it by on each
    side, but 64 % of those that are stored: what is wrong is the window."""
    store = limbs(tmp_path, inverted=False)
    told = [text for text in store.odd if "of the body" in text]
    assert len(told) == 3 and not any("inverted" in text for text in store.odd)
    shares = [
        re.search(r"(\d+)% of the body .* whole field of view (\d+)%.*--size", text).groups() for text in told
    ]
    for stored, whole in shares:
        assert 50 < int(stored) < 75 and 7 <= int(whole) <= 10
    found = [scan.placement["lesion"]["share_of_whole"] for scan in store.scans]
    assert found == pytest.approx([154 / 2124] * 3, abs=0.003)


def test_an_inverted_mask_is_refused_whatever_part_the_slices_show(tmp_path):
    with pytest.raises(InputError, match=r"scan S1: \d+% of the body is lesion .* is the mask inverted"):
        limbs(tmp_path, inverted=True)


def test_a_large_lesion_is_told_by_the_slices_and_refused_by_the_whole_field_of_view():
    text = (
        "30% of the body in the stored slices is lesion, of that in the whole field of view 12%: the slices show "
        "little else; with a larger --size they show more"
    )
    for whole, expected in ((0.12, [("p1_a", text, False)]), (0.26, None)):
        found = told(facts(8, l1={"share_of_body": 0.3, "share_of_whole": whole, "ml": 1.0}))
        assert found == (
            expected or [("p1_a", "26% of the body is lesion (1 ml): is the mask inverted?", True)]
        )


@pytest.mark.slow
def test_real_patients_are_taken_in_small_slices(tmp_path):
    """Of STS_011 and STS_013 slices of 64 pixels of 1.7 mm show little but the lesion."""
    with (sts() / "manifest.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    kept = [
        [*row[:2], *(str(sts() / cell) for cell in row[2:])]
        for row in rows
        if row[0] in ("STS_001", "STS_011")
    ]
    store = prepare(save(tmp_path, [header, *kept]), tmp_path / "s.zarr", size=64, pixel_mm=1.7, workers=1)
    told = [text for text in store.odd if "of the body in the stored slices is lesion" in text]
    assert len(told) == 1 and "STS_011" in told[0] and "27%" in told[0] and "view 11%" in told[0]


def test_rectangles_of_their_own_in_most_slices_are_a_box_too():
    voxels = np.zeros((6, 20, 20), bool)
    for z in range(1, 5):
        voxels[z, z : 14 - z, 4 : 9 + z] = True
    assert is_box(voxels)
    voxels[1:3, 5, 4] = False
    voxels[1:3, 5, 3] = True  # two of four
    assert not is_box(voxels)
    assert not is_box(np.where((np.arange(6) < 3)[:, None, None], voxels & False, voxels))  # in two slices
