"""A mask on no modality's grid: which of shape, spacing, axes and origin differ, and by how much."""

import nibabel as nib
import numpy as np
import pytest
from scans import LPS, analyze, change, cohort, prepare, refused, scan_arrays, write

MASK = scan_arrays()[2]  # drawn on the MRI: 20 x 16 x 5 voxels of 1 x 1 x 3 mm, x to the left, y to posterior


def moved(affine: np.ndarray, *mm: float) -> np.ndarray:
    """The affine with its origin moved along x to right, y to anterior, z to superior."""
    affine = affine.copy()
    affine[:3, 3] += mm
    return affine


def turned(affine: np.ndarray, degrees: float) -> np.ndarray:
    """About the axis from foot to head."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


def told(tmp_path, mask: np.ndarray, affine: np.ndarray, **options) -> str:
    manifest = cohort(tmp_path, 2)
    write(tmp_path / "s0" / "mask.nii.gz", mask, affine)
    return refused(manifest, "manifest row 2, scan S0, column mask", **options)


# The mask, its affine, what differs (in the order told), and what does not.
CASES = {
    "half a voxel": (
        MASK,
        moved(LPS, -0.5, 0, 0),
        ["origin: 0.5 mm (0.5 voxels) to left"],
        ["shape:", "spacing:"],
    ),
    "one slice": (MASK, moved(LPS, 0, 0, 3), ["origin: 3 mm (1 voxel) to superior"], ["shape:", "axes:"]),
    "two ways": (
        MASK,
        moved(LPS, 0, 2, -6),
        ["origin: 2 mm (2 voxels) to anterior, 6 mm (2 voxels) to inferior"],
        ["shape:"],
    ),
    "a slice less": (
        MASK[:, :, :4],
        LPS,
        ["shape: 20 x 16 x 4 voxels, not 20 x 16 x 5"],
        ["origin:", "spacing:"],
    ),
    "spacing": (
        MASK,
        LPS @ np.diag([1.1, 1, 1, 1]),
        ["spacing: 1.1 x 1 x 3 mm, not 1 x 1 x 3"],
        ["shape:", "axes:", "origin:"],
    ),
    "turned": (MASK, turned(LPS, 5), ["axes: turned by 5 degrees"], ["shape:", "spacing:", "origin:"]),
    "identity": (
        MASK,
        np.eye(4),
        [
            "spacing: 1 x 1 x 1 mm, not 1 x 1 x 3",
            "origin: 19 mm (19 voxels) to right",
            "affine is the identity",
        ],
        ["shape:"],
    ),
}


@pytest.mark.parametrize("reference", [None, "mri"])
@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_told_with_its_amount(tmp_path, case, reference):
    mask, affine, expected, others = CASES[case]
    text = told(tmp_path, mask, affine, reference=reference)
    found = next(line for line in text.splitlines() if "found:" in line)
    at = [found.index(words) for words in expected]
    assert at == sorted(at)
    assert not any(words in found for words in others)


def test_a_cropped_mask_is_called_that_and_slicers_option_is_named(tmp_path):
    """As 3D Slicer writes a segmentation without a reference volume: the box around the lesion alone."""
    text = told(tmp_path, MASK[4:16, 3:13, 1:4], moved(LPS, -4, -3, 3))
    assert "shape: 12 x 10 x 3 voxels, not 20 x 16 x 5" in text
    assert "a piece of the grid of mri, cropped" in text and "choose mri as 'Reference volume'" in text


@pytest.mark.parametrize(
    "mask, affine",
    [
        (MASK[4:16, 3:13, 1:4], moved(LPS, -4.5, -3, 3)),  # between the grid's voxels
        (MASK[4:16, 3:13, 1:4], moved(LPS, 4, -3, 3)),  # reaching out of it
        (np.zeros((6, 6, 5), np.uint8), LPS @ np.diag([1.5, 1.5, 1, 1])),  # of other voxels
    ],
)
def test_what_is_no_piece_of_a_grid_is_not_called_one(tmp_path, mask, affine):
    assert "Reference volume" not in told(tmp_path, mask, affine)


def test_the_cure_named_for_a_crop_works(tmp_path):
    """Written on the whole grid of the reference volume, whatever the order of axes, the mask is accepted."""
    manifest = cohort(tmp_path, 2)
    image = nib.Nifti1Image(MASK, LPS)
    image.set_sform(LPS, code=1)
    turned_image = image.as_reoriented(nib.orientations.axcodes2ornt("SRA"))
    turned_image.to_filename(tmp_path / "s0" / "mask.nii.gz")
    assert prepare(manifest, tmp_path / "s.zarr", size=16, workers=1).scans[0].lesion_px[1] > 0


def test_a_mask_without_orientation_is_compared_by_shape_and_spacing(tmp_path):
    analyze(tmp_path / "mask.hdr", MASK.astype(np.int16), (1.0, 1.0, 4.0))
    text = refused(change(cohort(tmp_path, 2), 2, "mask", "mask.hdr"), "row 2", "column mask")
    assert "spacing: 1 x 1 x 4 mm, not 1 x 1 x 3" in text and "origin:" not in text


def test_little_differences_that_add_up_are_told_as_what_they_come_to(tmp_path):
    """Turned by 0.1 degrees and moved by 0.02 mm, each below what is told, the far corner is off by more."""
    text = told(tmp_path, MASK, moved(turned(LPS, 0.1), 0.02, 0.02, 0.07))
    assert "mm at a corner" in text
