"""What a NIfTI header, or SPM's .mat, states of where a volume lies: statements may differ by a voxel at a corner."""

import nibabel as nib
import numpy as np
import pytest
import scipy.io

from data_prep.files.read import read_grid, read_volume
from data_prep.files.stated import stated_by
from hnscc.base.errors import InputError

SHAPE = (11, 11, 11)


def lies(*steps: float, moved: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    affine = np.diag([-steps[0], -steps[1], steps[2], 1.0])
    affine[:3, 3] = moved
    return affine


def header(sform: np.ndarray | None, qform: np.ndarray | None, shape=SHAPE) -> nib.Nifti1Header:
    made = nib.Nifti1Header()
    made.set_data_shape(shape)
    if qform is not None:
        made.set_qform(qform, code=1)
    if sform is not None:
        made.set_sform(sform, code=1)
    return made


@pytest.mark.parametrize(
    "qform, apart",
    [
        (lies(1, 1, 3), 0),
        (lies(1, 1, 3, moved=(0.99, 0, 0)), 0),
        (lies(1, 1, 3, moved=(0, -1.01, 0)), 1.01),
        (lies(1, 1, 3, moved=(0, 0, 1.01)), 1.01),  # in multiples of the smallest side
        (lies(1, 1, 3.095), 0),  # ten steps of 0.095 mm
        (lies(1, 1, 3.105), 1.05),
        (lies(1, 1, 3) @ np.diag([1, -1, 1, 1]), 20),
    ],
)
def test_sform_and_qform_may_place_a_corner_a_voxel_apart(qform, apart):
    made = header(lies(1, 1, 3), qform)
    if not apart:
        assert stated_by(made, "S") == "sform and qform"
        return
    with pytest.raises(
        InputError, match=rf"sform and the qform .* disagree[^$]*up to {apart:g} voxels apart"
    ):
        stated_by(made, "S")


@pytest.mark.parametrize(
    "steps, sizes, shape, fits",
    [
        ((2, 1, 3), (1, 1, 1), SHAPE, True),  # nobody wrote them
        ((2, 1, 3), (2.095, 1, 3), SHAPE, True),  # ten steps of 0.095 mm
        ((2, 1, 3), (2.105, 1, 3), SHAPE, False),
        ((2, 1, 3), (2, 1, 3.095), SHAPE, True),
        ((2, 1, 3), (-2, 1, 3), SHAPE, True),  # a sign says nothing of a size
        ((2, 1, 3), (2.5, 1, 1), SHAPE, False),
        ((0.5, 1, 3), (1.5, 1.07, 3), (1, 11, 11), False),  # 0.7 mm, and the smallest side is 0.5
        ((1.5, 1.07, 3), (0.5, 1, 3), (1, 11, 11), False),
    ],
)
def test_sform_and_voxel_sizes_may_differ_by_a_voxel_in_all(steps, sizes, shape, fits):
    made = header(lies(*steps), None, shape)
    made["pixdim"][1:4] = sizes
    if fits:
        assert stated_by(made, "S") == "sform"
        return
    with pytest.raises(InputError, match=r"sform and the header's voxel sizes \(pixdim\) disagree"):
        stated_by(made, "S")


@pytest.mark.parametrize("second", [(0, 0, 0), (-1, 0, 0), (-1, 0, 1e-7)])
def test_axes_without_a_length_or_a_direction_of_their_own_place_nothing(tmp_path, second):
    nib.Nifti1Image(np.ones((4, 4, 4), np.float32), lies(1, 1, 1)).to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    for row, number in zip((280, 296, 312), second, strict=True):  # srow_x, srow_y and srow_z begin there
        content[row + 4 : row + 8] = np.float32(number).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match="affine cannot be inverted"):
        read_grid(tmp_path / "a.nii", "S")


@pytest.mark.parametrize("name", ["srow_y", "qoffset_z"])
def test_a_form_of_no_numbers_is_told_by_its_name(name):
    made = header(lies(1, 1, 3), lies(1, 1, 3))
    made[name] = np.nan
    with pytest.raises(InputError, match=f"The {'sform' if name == 'srow_y' else 'qform'} .* no number"):
        stated_by(made, "S")


def test_a_mat_of_spm_has_the_voxels_of_its_header(tmp_path):
    nib.Spm99AnalyzeImage(np.zeros(SHAPE, np.int16), lies(2, 1, 3)).to_filename(tmp_path / "a.img")
    mat = scipy.io.loadmat(tmp_path / "a.mat")["mat"]
    for size, fits in ((1.04, True), (1.06, False)):  # along x, in ten steps: 0.8 mm and 1.2 mm
        scipy.io.savemat(tmp_path / "a.mat", {"mat": mat @ np.diag([size, 1, 1, 1])}, format="4")
        if fits:
            assert read_grid(tmp_path / "a.img", "S").stated_by == "SPM's .mat"
        else:
            with pytest.raises(InputError, match=r"SPM's \.mat and the header's voxel sizes"):
                read_grid(tmp_path / "a.img", "S")


@pytest.mark.parametrize("slope, inter, how", [(1, 0, "as stored"), (1, 5, "scaled"), (2, 0, "scaled")])
def test_values_are_scaled_by_a_slope_or_an_intercept(tmp_path, slope, inter, how):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), lies(1, 1, 3))
    image.header.set_slope_inter(slope, inter)
    image.to_filename(tmp_path / "a.nii")
    read = read_volume(tmp_path / "a.nii", "S")
    assert read.written["scaling"] == how and read.data[1, 2, 3] == 23 * slope + inter


@pytest.mark.parametrize("code, read", [(2 + 8, "mm"), (2 + 56, "mm"), (0, "unknown"), (64, "unknown")])
def test_a_unit_of_times_that_nobody_knows_says_nothing_of_lengths(tmp_path, code, read):
    """The file was said to be cut short or damaged."""
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), lies(1, 1, 3))
    image.header["xyzt_units"] = code
    image.to_filename(tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii", "S").written["unit"] == read


@pytest.mark.parametrize("code, found", [(1, "meter"), (7, "the code 7, which stands for none")])
def test_a_unit_of_lengths_other_than_mm_is_refused(code, found):
    made = header(lies(1, 1, 3), None)
    made["xyzt_units"] = code
    with pytest.raises(InputError, match="lengths that are not in mm") as caught:
        stated_by(made, "S")
    assert caught.value.found == found
