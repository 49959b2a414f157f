"""Masks that hold more than a lesion: their own mirror image, thin lines, strokes that were left in one slice."""

import resource
from dataclasses import replace

import numpy as np
import pytest
from scans import prepare, save, write
from scipy import ndimage
from stores import scan

from data_prep.masks.pieces import pieces_of
from data_prep.oddities.odd_lesions import odd_pieces
from hnscc.cohort.store_format import DrawnMask

SHAPE = (10, 48, 48)  # z, y, x
NONE = {"mirrored": False, "stray": 0, "thin_mm": 0.0, "over_mm": 0.0}


def lesion() -> np.ndarray:
    """Half a ball with a corner: like no mirror image of itself."""
    z, y, x = np.indices(SHAPE) - np.array([5, 20, 34])[:, None, None, None]
    ball = (2 * z) ** 2 + y**2 + x**2 < 49
    return ball & ~((x > 2) & (y > 1)) & ~((z > 1) & (x < -2))


def found(voxels: np.ndarray) -> dict:
    return pieces_of(DrawnMask(voxels, tuple(map(tuple, np.diag([2.0, 1.5, 4.0, 1.0]).tolist())), "mri"))


def test_an_empty_mask_and_a_plain_lesion_hold_nothing_more():
    assert found(np.zeros(SHAPE, bool)) == NONE
    assert found(lesion()) | {"thin_mm": 0.0} == NONE and found(lesion())["thin_mm"] < 12


@pytest.mark.parametrize("axes", [(2,), (1, 2), (0, 2)])
def test_a_mirror_image_in_any_direction_and_place_is_found(axes):
    twin = np.flip(lesion(), axes)
    assert found(lesion() | twin)["mirrored"]
    assert found(lesion() | np.roll(twin, -2, 2))["mirrored"]
    twin[tuple(np.argwhere(twin)[0])] = False
    assert not found(lesion() | twin)["mirrored"]


def test_a_mirror_image_that_touches_is_found_about_the_middle_and_convex_masks_are_their_own():
    near = np.roll(lesion(), -5, 2)  # its left end lies at 22, beyond the middle of 23.5
    assert not found(near)["mirrored"] and found(near | np.flip(near, 2))["mirrored"]
    assert ndimage.label(near | np.flip(near, 2))[1] == 1
    z, y, x = np.indices(SHAPE) - np.array([4.5, 23.5, 23.5])[:, None, None, None]
    assert not found((2 * z) ** 2 + y**2 + x**2 < 49)["mirrored"]


def test_two_balls_are_no_mirror_images_but_about_the_middle():
    z, y, x = np.indices(SHAPE) - np.array([5, 20, 12])[:, None, None, None]
    ball = (2 * z) ** 2 + y**2 + x**2 < 36
    assert not found(ball | np.roll(np.flip(ball, 2), 3, 2))["mirrored"]
    assert found(ball | np.flip(ball, 2))["mirrored"]


def test_small_pieces_in_one_slice_far_beside_the_lesion_are_counted():
    voxels = lesion()
    voxels[2, 18:21, 8:11] = True
    voxels[7, 40:43, 30:33] = True
    assert found(voxels)["stray"] == 2
    near = lesion()
    near[9, 18:21, 33:36] = True  # above it
    near[2, 18:21, 24:26] = True  # 3 voxels of 2 mm beside its nearest
    assert found(near)["stray"] == 0
    deep = lesion()
    deep[2:4, 18:21, 8:11] = True
    assert found(deep)["stray"] == 0


@pytest.mark.parametrize("rows, columns, stray", [(6, 0, 0), (7, 0, 1), (0, 4, 0), (0, 5, 1)])
def test_a_stray_piece_lies_10_mm_beside_the_lesion(rows, columns, stray):
    """Rows are 1.5 mm apart, columns 2 mm: 9, 10.5, 8 and 10 mm."""
    voxels = np.zeros(SHAPE, bool)
    voxels[1:6, 12:34, 14:36] = True
    voxels[2, 20 + (13 + rows) * bool(rows), 20 + (15 + columns) * bool(columns)] = True
    assert found(voxels)["stray"] == stray


def test_what_sticks_out_of_a_thick_slice_lies_two_slices_beside():
    """Slices of 6 mm: of a tongue of 20 mm, 8 mm lie farther than 12 mm from what the slices next to it hold."""
    voxels = np.zeros((4, 40, 48), bool)
    voxels[:, 10:20, 10:20], voxels[1, 12:16, 20:40] = True, True
    affine = tuple(map(tuple, np.diag([1.0, 1.0, 6.0, 1.0]).tolist()))
    assert pieces_of(DrawnMask(voxels, affine, "mri"))["over_mm"] == 8


def test_a_thin_line_is_as_long_as_it_is_along_a_row_or_column():
    voxels = np.zeros(SHAPE, bool)
    voxels[4:7, 10:30, 20:34] = True
    assert found(voxels)["thin_mm"] == 0
    voxels[5, 12:14, 0:20] = True
    assert found(voxels)["thin_mm"] == 20 * 2.0
    voxels[5, 30:46, 25] = True
    voxels[5, 12:14, 0:12] = False
    assert found(voxels)["thin_mm"] == 16 * 1.5
    voxels[5, 12:15, 0:20] = True  # no line: 4.5 mm wide
    assert found(voxels)["thin_mm"] == 16 * 1.5


def test_a_line_is_thin_by_its_millimetres_where_voxels_are_fine():
    voxels = np.zeros((4, 80, 80), bool)
    voxels[:, 10:30, 50:70], voxels[2, 12:15, 10:50] = True, True  # three voxels wide
    for pixel, length in ((1.0, 40.0), (1.5, 0.0)):
        affine = tuple(map(tuple, np.diag([pixel, pixel, 4.0, 1.0]).tolist()))
        assert pieces_of(DrawnMask(voxels, affine, "mri"))["thin_mm"] == length


def test_a_part_two_voxels_wide_is_no_line_on_a_pet_and_one_voxel_is():
    """Masks drawn on voxels of 4 mm, of lesions 8 mm thick that are 40 mm long, were called strokes of a brush."""
    affine = tuple(map(tuple, np.diag([4.0, 4.0, 4.0, 1.0]).tolist()))
    voxels = np.zeros(SHAPE, bool)
    voxels[4:7, 10:20, 20:34] = True
    for rows, length in ((2, 0.0), (1, 40.0)):
        part = voxels.copy()
        part[5, 12 : 12 + rows, 10:20] = True
        assert pieces_of(DrawnMask(part, affine, "pet"))["thin_mm"] == length


def test_a_header_in_metres_makes_no_line_of_thousands_of_voxels():
    """Millimetres a thousandth as large as they are: what is wrong is told by fields, and nothing takes gigabytes."""
    affine = tuple(map(tuple, np.diag([1e-3, 1e-3, 3e-3, 1.0]).tolist()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pieces_of(DrawnMask(lesion(), affine, "mri"))["over_mm"] == 0.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_what_sticks_out_of_one_slice_is_as_long_as_what_lies_8_mm_beside_the_slices_next_to_it():
    """Rows of 1.5 mm: 5 of them are 8 mm."""
    voxels = np.zeros(SHAPE, bool)
    voxels[3:8, 15:30, 20:34] = True
    assert found(voxels)["over_mm"] == 0
    stroke = voxels.copy()
    stroke[5, 30:46, 24:28] = True  # 4 voxels wide, joined to the lesion
    assert found(stroke)["over_mm"] == 11 * 1.5 and found(stroke)["thin_mm"] == 0
    beside = voxels.copy()
    beside[7, 33:46, 24:28] = True  # of the last slice, near the lesion
    assert found(beside)["over_mm"] == 11 * 1.5
    stroke[6, 30:44, 24:28] = True  # a lesion may reach so far in two slices
    assert found(stroke)["over_mm"] == 0
    above = voxels.copy()
    above[9, 20:40, 24:28] = True  # no slice next to it holds lesion: another piece
    assert found(above)["over_mm"] == 0


def test_a_long_piece_far_above_the_lesion_is_a_stray_one_and_a_rough_outline_leaves_small_ones():
    voxels = np.zeros(SHAPE, bool)
    voxels[1:6, 12:34, 14:36] = True
    for rows, z, count in ((10, 8, 1), (10, 7, 0), (8, 8, 0)):  # of 1.5 mm; slices of 4 mm
        piece = voxels.copy()
        piece[z, 15 : 15 + rows, 20:24] = True
        assert found(piece)["stray"] == count


def test_strokes_are_told_where_few_scans_have_any_and_lines_not_of_outlines():
    def told(*pieces: dict, hollow: float = 0.0, known=()) -> list[str | None]:
        scans = [
            replace(
                scan(f"p{at}", (0, 4)),
                placement={"lesion": {"ml": 1.0, "hollow": hollow, "pieces": NONE | each}},
            )
            for at, each in enumerate(pieces)
        ]
        return [odd.scan_id for odd in odd_pieces(scans, known)]

    assert told({}, {"mirrored": True}, {"thin_mm": 36.0}) == ["p1_a", "p2_a"]
    assert told({"thin_mm": 36.0}, {"thin_mm": 34.0}, hollow=0.6) == []
    no_lesion = {("p0_a", "mask"), ("p1_a", "pet")}
    assert told({"thin_mm": 36.0}, {"thin_mm": 36.0}, known=no_lesion) == ["p1_a"]
    assert told({"stray": 2}, {"mirrored": True}, {}, {}, known=no_lesion) == ["p1_a"]
    assert told({"stray": 2}, {}, {}, {}) == ["p0_a"]
    assert told(*[{"stray": 1}] * 2, *[{}] * 6) == [None]
    assert told(*[{"stray": 1}] * 3, *[{}] * 8) == []
    assert told({"over_mm": 12.0}, {"over_mm": 11.0}, {}, {}) == ["p0_a"]
    assert told(*[{"over_mm": 12.0}] * 2, *[{}] * 6) == [None]
    assert told(*[{"over_mm": 12.0}] * 3, *[{}] * 8) == []


def test_prepare_tells_what_was_drawn_beside_a_lesion(tmp_path):
    rows = [["patient_id", "scan_id", "mri", "mask"]]
    disc = np.hypot(*(np.indices(SHAPE[:0:-1]) - 23.5))[:, :, None] < 22
    for at, name in enumerate(["plain"] * 4 + ["mirrored", "stroke", "line", "brush"]):
        mask = lesion()
        if name == "mirrored":
            mask |= np.flip(mask, 2)
        mask[2, 18:22, 8:12] |= name == "stroke"
        mask[5, 12:14, 8:26] |= name == "line"
        mask[5, 12:15, 16:30] |= name == "brush"  # three voxels of 2 mm wide
        rng = np.random.default_rng(at)
        image = disc * (5 + ndimage.gaussian_filter(rng.normal(size=(48, 48, 10)), 2)) + rng.random(
            (48, 48, 10)
        )
        write(tmp_path / f"{at}.nii", image.astype(np.float32), np.diag([-2.0, -2.0, 4.0, 1.0]))
        write(tmp_path / f"{at}-mask.nii", mask.T.astype(np.uint8), np.diag([-2.0, -2.0, 4.0, 1.0]))
        rows.append([f"P{at}", f"{name}{at}" if name == "plain" else name, f"{at}.nii", f"{at}-mask.nii"])
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=48, workers=1, accept_odd="a test")
    words = ("mirror image of another", "small pieces in a single slice", "a line of a few voxels")
    told = [each.split(":")[0] for each in store.odd if any(word in each for word in words)]
    assert told == ["scan mirrored", "scan line", "scan stroke"]
    out = "the mask sticks out in a single slice, by a part 12 mm long or more"
    assert [each for each in store.odd if out in each] == [
        f"in 2 scans (line, brush), 2 of 8 with lesion, 0 of 0 without, {out} far beside what the slices above and "
        "below it hold: a stroke of a brush?"
    ]
