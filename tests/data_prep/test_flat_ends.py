"""Masks that end flat amid their lesion are told with the side; whole ones are not."""

from dataclasses import replace

import numpy as np
import pytest
from scans import prepare, save, write
from scipy import ndimage
from stores import scan

from data_prep.oddities.flat_ends import ended_flat, ends_of
from data_prep.oddities.oddity import MASK
from data_prep.placing.edges import edges_of

SHAPE, SPACING, SCANS = (18, 40, 40), (4.0, 2.0, 2.0), 8
SIDES = ("head", "foot", "back", "front", "left", "right")


def told(
    drawn: dict, lift: float = 3.0, shape: tuple[int, ...] = SHAPE, known=frozenset(), outside=(), **lesion
) -> list[tuple[str | None, str]]:
    """What is said of blurred ellipsoids, `lift` brighter than noise; drawn: what was made of some masks, by number."""
    scans, ends = [], []
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        middle = [(length - 1) / 2 + rng.uniform(-1, 1) for length in shape]
        apart = [(at - mid) * mm for at, mid, mm in zip(np.indices(shape), middle, SPACING, strict=True)]
        whole = np.sqrt(sum(each**2 for each in apart)) < rng.uniform(15, 18)
        image = ndimage.gaussian_filter(2 + lift * whole + rng.normal(0, 0.3, shape), (0.6, 1.2, 1.2))
        mask = drawn[number](whole) if number in drawn else whole
        facts = {
            "outside": {"pet": outside},
            "lesion": {
                "edges": {"pet": edges_of(image, mask, SPACING, 0.0, 1.2)},
                "box": False,
                "left_out": 0,
            }
            | lesion,
        }
        scans.append(replace(scan(f"p{number}", (0, 4)), spacing_mm=SPACING, placement=facts))
        ends.append(ends_of(image[:, None].astype(np.float32), mask, scans[-1]))
    return [(odd.scan_id, odd.text) for odd in ended_flat(scans, ["pet"], ends, known)]


def without(side: str, share: float = 0.5):
    """Draws the mask up to a plane: without so large a share of its layers on a side."""

    def cut(mask):
        axis, way = SIDES.index(side) // 2, 1 - 2 * (SIDES.index(side) % 2)
        at = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))[::way]
        kept = np.isin(np.arange(mask.shape[axis]), at[: round(len(at) * (1 - share))])
        return mask & np.expand_dims(kept, [other for other in range(3) if other != axis])

    return cut


def sentence(side: str) -> str:
    return (
        f"the mask ends flat amid the lesion: its {side} end is nearly as wide as the rest, and pet goes on beyond it "
        "as within it; was what lies there not drawn? Draw it, or take the scan out"
    )


@pytest.mark.parametrize("lift", [3.0, -1.6], ids=["brighter", "darker"])
@pytest.mark.parametrize("side", SIDES)
def test_half_a_mask_is_told_with_the_side_on_which_it_ends(side, lift):
    assert told({3: without(side)}, lift) == [("p3_a", sentence(side))]


@pytest.mark.parametrize("share", [0.35, 0.65])
def test_a_third_and_two_thirds_that_are_missing_are_told(share):
    assert told({3: without("head", share)}) == [("p3_a", sentence("head"))]


@pytest.mark.parametrize("lift", [3.0, -1.6, 0.0], ids=["brighter", "darker", "without a border"])
def test_whole_masks_are_not_told(lift):
    assert told({}, lift) == []


def test_several_and_all_masks_that_are_cut_are_told_by_side():
    found = told({1: without("head"), 3: without("head"), 5: without("foot")})
    assert [scan_id for scan_id, _ in found] == [None, "p5_a"]
    assert found[0][1].startswith("in 2 scans (p1_a, p3_a), ") and found[0][1].endswith(sentence("head"))
    ((scan_id, text),) = told(dict.fromkeys(range(SCANS), without("head")))
    assert scan_id is None and text.startswith("in 8 scans ")


def test_of_two_pieces_of_a_mask_one_that_is_cut_is_told():
    def beside(mask):
        cut = without("head")(mask)
        cut[1:, 1:6, 1:6] = True  # a piece that reaches further up, a fifth as large
        return cut

    assert told({3: beside}) == [("p3_a", sentence("head"))]


def test_nothing_is_said_of_lesions_without_a_border_of_what_is_known_and_of_what_is_told_otherwise():
    assert told({3: without("head")}, lift=0.0) == []
    for name in ("pet", MASK):
        assert told({3: without("head")}, known={("p3_a", name)}) == []
    assert told({3: without("head")}, outside=[0]) == []  # PET does not show a slice of the lesion
    assert told({3: without("head")}, box=True) == [] and told({3: without("head")}, left_out=2) == []


def test_a_mask_that_ends_with_the_image_is_not_cut():
    """Ellipsoids of 30 mm and more in five slices of 4 mm."""
    assert told({}, shape=(5, 40, 40)) == []


def test_prepare_tells_half_a_mask_as_that_and_not_as_a_voxel_off_and_nothing_more_of_outlines(tmp_path):
    rows = [["patient_id", "scan_id", "pet", "mask"]]
    shape = (44, 44, 24)  # x, y, z, of 4 mm each
    head = np.hypot(*(np.indices(shape[:2]) - 21.5))[:, :, None] < 20
    for number in range(9):
        rng = np.random.default_rng(number)
        at = np.array([15, 17, 12]) + rng.uniform(-1.5, 1.5, 3)
        lesion = np.sqrt(sum((axis - mid) ** 2 for axis, mid in zip(np.indices(shape), at, strict=True))) < 7
        image = head * (1 + ndimage.gaussian_filter(rng.normal(0, 2, shape), 2)) + 5 * lesion
        image = ndimage.gaussian_filter(image, 0.6) + rng.normal(0, 0.05, shape)
        if number == 2:
            lesion &= np.arange(24) <= round(at[2])
        if number == 5:
            lesion &= ~ndimage.binary_erosion(lesion, np.ones((3, 3, 1)))
        write(tmp_path / f"{number}.nii", image.astype(np.float32), np.diag([-4.0, -4.0, 4.0, 1.0]))
        write(tmp_path / f"{number}-m.nii", lesion.astype(np.uint8), np.diag([-4.0, -4.0, 4.0, 1.0]))
        rows.append([f"P{number}", f"S{number}", f"{number}.nii", f"{number}-m.nii"])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=44, workers=1, accept_odd="a test")
    of_masks = [text for text in store.odd if "mask" in text]
    assert [text.partition(": ")[0] for text in of_masks] == ["scan S5", "scan S2"]
    assert of_masks[0].startswith("scan S5: most of what the mask encloses")
    assert of_masks[1] == f"scan S2: {sentence('head')}"


def end_of(
    layers: list[list[tuple[int, int]]], values: dict[int, float], steps: tuple[float, float]
) -> float:
    """How far an image goes on beyond the head end of a mask in one row of each slice, of these columns, first and
    last; values: of the columns beside the first layer's first piece, by their distance in columns; elsewhere it is 0
    beyond and 10 within the mask, and 6 above it. steps: of slices and pixels, in mm."""
    mask = np.zeros((len(layers) + 1, 1, 240), bool)
    for z, pieces in enumerate(layers):
        for first, last in pieces:
            mask[z, 0, first : last + 1] = True
    first, last = layers[0][0]
    image = np.zeros(mask.shape, np.float32)
    for apart, value in values.items():
        image[:, :, [first - apart, last + apart]] = value
    image[1:][mask[:-1]] = 6
    image[mask] = 10
    placed = replace(scan("p0", (0,)), spacing_mm=(steps[0], 4.0, steps[1]))
    return float(ends_of(image[:, None], mask, placed)[0, 0])


def test_what_a_flat_end_is_compared_with_by_hand():
    """What lies 4 to 14 mm beside it, of a median of 1 or 2: (6 - 1) / (10 - 1) or (6 - 2) / (10 - 2) of the lesion;
    nothing where the lesion does not stand out."""
    for step, values, expected in (
        (3.9, {1: 2, 2: 2, 3: 0}, 5 / 9),  # 7.8 and 11.7 mm
        (4.1, {1: 2, 2: 2, 3: 0}, 1 / 2),  # 4.1 mm, too
        (6.9, {1: 2, 2: 0}, 5 / 9),  # 6.9 and 13.8 mm
        (7.1, {1: 2, 2: 0}, 1 / 2),  # 7.1 mm alone
    ):
        assert end_of([[(100, 103)]] * 2, values, (20.0, step)) == pytest.approx(expected)
    assert end_of([[(100, 103)]] * 2, {1: 10, 2: 10}, (20.0, 6.9)) == 0
    # Slices within 8 mm beyond it, of which the first shows 6: one of 8 mm, or two of 4 mm.
    assert end_of([[(100, 103)]] * 2 + [[]], {}, (8.0, 7.1)) == pytest.approx(6 / 10)
    assert end_of([[(100, 103)]] * 2 + [[]], {}, (4.0, 7.1)) == pytest.approx(3 / 10)
    assert end_of([[(100, 103)]] * 2 + [[]] * 9, {}, (1.0, 7.1)) == pytest.approx(0.75 / 10)


def test_how_large_a_flat_end_and_its_piece_are_by_hand():
    """The last layer half as large as the largest one; the piece a quarter of the lesion."""
    for columns, flat in ((10, True), (9, False)):
        assert (end_of([[(100, 119)], [(100, 99 + columns)]], {}, (20.0, 7.1)) > 0) == flat
    for columns, judged in ((25, True), (24, False)):
        layers = [[(20, 79 + 25 - columns), (150, 149 + columns)], [(20, 34)]]
        assert (end_of(layers, {}, (20.0, 7.1)) > 0) == judged


def test_an_image_goes_on_by_half_of_what_the_lesion_stands_out_where_half_of_the_lesions_do():
    def told_of(end: float, *owns: float, names: tuple[str, ...] = ("pet",)) -> list[str | None]:
        scans, ends = [], []
        for at, own in enumerate(owns):
            lesion = {"edges": {name: {"own": own} for name in names}, "box": False, "left_out": 0}
            placement = {"outside": dict.fromkeys(names, ()), "lesion": lesion}
            scans.append(replace(scan(f"p{at}", (0, 4)), placement=placement))
            ends.append(np.array([[end if at == 0 else 0.0, *[0.0] * 5]] * len(names), np.float32))
        return [odd.scan_id for odd in ended_flat(scans, names, ends)]

    assert (
        told_of(0.5, *[1.0] * 5) == ["p0_a"] and told_of(0.49, *[1.0] * 5) == told_of(0.5, *[1.0] * 4) == []
    )
    assert told_of(0.5, *[1.0] * 6, names=("pet", "mri")) == ["p0_a"], "once"
    assert told_of(0.5, *[0.2] * 5, *[0.19] * 5) == ["p0_a"] and told_of(0.5, *[0.2] * 5, *[0.19] * 6) == []
