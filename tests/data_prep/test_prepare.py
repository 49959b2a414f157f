"""Scans -> store: reading, placing, resizing, refusing; on the real cohort where it is at hand."""

import csv
import gzip
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations
from scipy.spatial.transform import Rotation

from data_prep.build import cores, prepare
from data_prep.manifest import read_manifest
from data_prep.place import (
    Window,
    _sampled,
    _sampled_by_voxels,
    make_window,
    place_scan,
    resize_image,
    resize_mask,
    to_input_grid,
    to_lps,
)
from data_prep.read import Grid, Volume, read_volume
from hnscc.base.errors import InputError
from hnscc.cohort.store import open_store, verify_store

LPS = np.diag([-1.0, -1.0, 3.0, 1.0])


def sts() -> Path:
    """The real cohort, or a skip."""
    folder = Path(os.environ.get("HNSCC_STS", Path(__file__).parents[3] / "shared" / "data" / "sts"))
    if not (folder / "manifest.csv").exists():
        pytest.skip("the soft-tissue sarcoma data is not here (set HNSCC_STS to its folder)")
    return folder


def write(path: Path, data: np.ndarray, affine: np.ndarray = LPS) -> None:
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)


def scan_arrays(
    seed: int = 0, shape: tuple[int, int, int] = (20, 16, 5)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    mask[6:14, 5:12, 1:4] = 1
    return rng.random(shape, np.float32) * 8, rng.random(shape, np.float32) * 900, mask


def cohort(folder: Path, scans: int = 3) -> Path:
    """A tiny cohort: PET on a coarser grid of its own, MRI, masks on the MRI, the last scan without."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(scans):
        pet, mri, mask = scan_arrays(number)
        coarse = np.diag([2.0, 2.0, 3.0, 1.0])
        coarse[:3, 3] = (-22, -18, 0)
        write(folder / f"s{number}" / "pet.nii.gz", pet[:12, :11, :], coarse)
        write(folder / f"s{number}" / "mri.nii.gz", mri)
        write(folder / f"s{number}" / "mask.nii.gz", mask)
        last = "" if number == scans - 1 else f"s{number}/mask.nii.gz"
        rows.append([f"P{number}", f"S{number}", f"s{number}/pet.nii.gz", f"s{number}/mri.nii.gz", last])
    return save(folder, rows)


def save(folder: Path, rows: list[list[str]]) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def change(manifest: Path, row: int, column: str, value: str) -> Path:
    rows = list(csv.reader(manifest.read_text().splitlines()))
    rows[row - 1][rows[0].index(column)] = value
    return save(manifest.parent, rows)


def refused(manifest: Path, *words: str, **options) -> str:
    """Prepare is refused with these words, no path in the text, and nothing left behind."""
    out = manifest.parent / "out"
    out.mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        prepare(manifest, out / "s.zarr", **{"size": 16, "workers": 1, **options})
    text = str(caught.value)
    for word in words:
        assert word in text
    assert str(manifest.parent) not in text and ".nii" not in text.replace(".nii, .nii.gz", "")
    assert list(out.iterdir()) == []
    return text


def volume(data: np.ndarray, affine: np.ndarray = LPS, oriented: bool = True) -> Volume:
    return Volume(data.astype(np.float32), Grid(data.shape, np.asarray(affine, float), oriented))


def place(volumes: dict[str, Volume], mask: Volume | None, **options):
    reference = options.pop("reference", "mri")
    return place_scan(
        volumes, mask, reference=reference, **{"size": 16, "pixel_mm": None, "scan": "S"} | options
    )


# --- resizing, by hand
# -------------------------------------------------------------------------------------------


def test_masks_are_resized_by_area():
    """4 x 4 -> 2 x 2: 2 of 4 pixels is half and stays, 1 of 4 does not, 3 and 4 do."""
    lesion = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    window = Window(2, (2.0, 2.0), (0.0, 0.0))
    np.testing.assert_array_equal(resize_mask(lesion, window), [[1, 0], [1, 1]])


def test_area_counts_parts_of_pixels():
    """3 pixels -> 2 of 1.5: the first covers all of pixel 0 and half of pixel 1, so 0.67 and 0.33."""
    window = Window(2, (1.5, 1.5), (0.0, 0.0))
    row = np.array([[1, 0, 0]] * 3, bool)
    np.testing.assert_array_equal(resize_mask(row, window), [[1, 0], [1, 0]])
    middle = np.array([[0, 1, 0]] * 3, bool)
    np.testing.assert_array_equal(resize_mask(middle, window), [[0, 0], [0, 0]])


def test_512_to_128_is_the_mean_of_four_by_four_for_masks():
    rng = np.random.default_rng(1)
    lesion = rng.random((64, 64)) > 0.5
    share = lesion.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    window = make_window(Grid((64, 64, 1), np.eye(4), True), 16, None)
    np.testing.assert_array_equal(resize_mask(lesion, window), share >= 0.5)


def test_images_keep_level_and_slope_and_do_not_alias():
    x = np.arange(64, dtype=float)
    ramp = np.broadcast_to(3 * x, (64, 64))
    window = Window(16, (4.0, 4.0), (0.0, 0.0))
    inner = resize_image(ramp, window, 0.0)[2:-2, 2:-2]
    np.testing.assert_allclose(
        inner, np.broadcast_to(3 * (4 * np.arange(2, 14) + 1.5), inner.shape), rtol=1e-6
    )
    stripes = np.broadcast_to(x % 2, (64, 64))
    np.testing.assert_allclose(resize_image(stripes, window, 0.0)[:, 1:-1], 0.5, atol=1e-6)


def test_enlarging_is_linear():
    image = np.array([[0.0, 10.0], [0.0, 10.0]])
    window = Window(4, (0.5, 0.5), (0.0, 0.0))
    np.testing.assert_allclose(resize_image(image, window, -1.0)[0], [0, 2.5, 7.5, 10])


def test_padding_is_square_and_centred_and_filled():
    _, mri, mask = scan_arrays(shape=(20, 10, 3))
    mask[:] = 0
    mask[8:12, 4:6] = 1
    placed = place({"mri": volume(mri + 5)}, volume(mask), size=20)
    assert (placed.images[:, 0, :5] == (mri + 5).min()).all() and (
        placed.images[:, 0, 15:] == (mri + 5).min()
    ).all()
    np.testing.assert_allclose(placed.images[:, 0, 5:15], (mri + 5).transpose(2, 1, 0), rtol=1e-6)
    np.testing.assert_array_equal(placed.mask[:, 5:15], mask.transpose(2, 1, 0))
    assert placed.source_lesion_px == (8, 8, 8) and placed.spacing_mm == (3, 1, 1)


def test_a_fixed_pixel_size_crops_and_pads_around_the_centre():
    _, mri, mask = scan_arrays(shape=(20, 10, 2))
    mask[:] = 0
    mask[9:11, 4:6] = 1
    placed = place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)
    np.testing.assert_allclose(placed.images[:, 0, 3:13], mri[2:18].transpose(2, 1, 0), rtol=1e-6)
    assert (placed.images[:, 0, :3] == mri.min()).all()
    assert placed.placement["lesion_px_cropped"] == 0


def test_lesion_cropped_off_is_counted_or_refused():
    _, mri, mask = scan_arrays(shape=(20, 20, 2))
    mask[:] = 0
    mask[1:9, 9:11] = 1  # x from 1; the window of 16 starts at 2
    placed = place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)
    assert placed.placement["lesion_px_cropped"] == 2 * 2
    mask[3:9] = 0
    mask[0] = mask[1]
    with pytest.raises(InputError, match="slice 0"):
        place({"mri": volume(mri)}, volume(mask), size=16, pixel_mm=1.0)


# --- orientation and affines
# -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PIR", "SLA", "ARI"])
def test_the_file_s_voxel_order_does_not_matter(axes):
    """The same head in any order of axes gives the same slices: rows to posterior, columns to the left."""
    pet, mri, mask = scan_arrays(shape=(12, 14, 6))
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))

    def turned(data):
        affine = LPS @ orientations.inv_ornt_aff(turn, data.shape)
        return volume(orientations.apply_orientation(data, turn), affine)

    expected = place({"pet": volume(pet), "mri": volume(mri)}, volume(mask))
    placed = place({"pet": turned(pet), "mri": turned(mri)}, turned(mask))
    np.testing.assert_allclose(placed.images, expected.images, rtol=1e-6)
    np.testing.assert_array_equal(placed.mask, expected.mask)
    np.testing.assert_allclose(placed.affine, expected.affine, atol=1e-9)
    mixed = place({"pet": turned(pet), "mri": volume(mri)}, turned(mask))
    np.testing.assert_allclose(mixed.images, expected.images, rtol=1e-5)
    back = to_input_grid(expected.mask, placed.placement)
    assert back.shape == turned(mask).data.shape
    assert dice(back, turned(mask).data) > 0.9


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.logical_and(one, other).sum() / (one.astype(bool).sum() + other.astype(bool).sum())


def oblique(
    angle: float, spacing: tuple[float, float, float], origin: tuple[float, float, float], turn: float = 0
) -> np.ndarray:
    """Tilted about the left-right axis by `angle`, and turned within the slice by `turn`, in degrees."""
    tilted = Rotation.from_euler("zx", [turn, angle], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ tilted @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def to_itk(data: np.ndarray, affine: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(data.transpose(2, 1, 0))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flip = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((flip @ affine[:3, 3]).tolist())
    return image


@pytest.mark.parametrize("angle, turn", [(0, 0), (12, 0), (-30, 0), (12, 9), (0, -20)])
def test_resampling_agrees_with_simpleitk_on_oblique_grids(angle, turn):
    """The grid's own pixels are kept (16 x 16 -> 16), so that resampling alone is compared."""
    rng = np.random.default_rng(3)
    pet, mri = rng.random((14, 15, 12), np.float32), rng.random((16, 16, 6), np.float32)
    pet_affine = np.diag([2.1, 1.9, 2.5, 1.0])
    pet_affine[:3, 3] = (-19.3, -18.1, -8.2)
    mri_affine = oblique(angle, (1.0, 1.0, 2.0), (7.7, 8.2, -5.1), turn)
    placed = place({"pet": volume(pet, pet_affine), "mri": volume(mri, mri_affine)}, None)
    oracle = sitk.Resample(
        to_itk(pet, pet_affine), to_itk(mri, mri_affine), sitk.Transform(), sitk.sitkLinear, float(pet.min())
    )
    np.testing.assert_allclose(placed.images[:, 0], sitk.GetArrayFromImage(oracle), atol=2e-5)
    np.testing.assert_allclose(placed.images[:, 1], mri.transpose(2, 1, 0), atol=1e-6)
    np.testing.assert_allclose(placed.affine, mri_affine, atol=1e-9)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SLA"])
@pytest.mark.parametrize("angle, far", [(0, 0.0), (7, 0.0), (-25, 0.0), (7, 9.0), (0, -7.5)])
def test_sampling_by_lines_is_sampling_by_voxels(axes, angle, far):
    """Bit for bit, whatever the file's order; also where the grid reaches out of the volume (`far`, in mm)."""
    data = np.random.default_rng(4).random((14, 15, 12), np.float32)
    turn = _from_lps(axes)
    affine = oblique(0, (2.1, 1.9, 2.5), (14.0 + far, 13.0, -12.0)) @ orientations.inv_ornt_aff(
        turn, data.shape
    )
    pet = volume(orientations.apply_orientation(data, turn), affine)
    grid = Grid((20, 18, 7), oblique(angle, (0.9, 0.8, 2.0), (8.0, 7.0, -6.0)), True)
    lines = list(_sampled(pet, grid))
    matrix = np.linalg.inv(to_lps(pet.grid).affine) @ grid.affine
    voxels = list(_sampled_by_voxels(data, matrix, grid.shape))
    assert len(lines) == len(voxels) == 7
    assert all(inside.all() for _, inside in lines) == (far == 0)
    for (one, inside_one), (other, inside_other) in zip(lines, voxels, strict=True):
        np.testing.assert_array_equal(inside_one, inside_other)
        np.testing.assert_array_equal(one, other)


def test_pixels_that_are_not_square_become_square():
    """Twice as wide as high: a square of 8 x 8 mm stays a square."""
    mask = np.zeros((8, 16, 1), np.uint8)
    mask[2:6, 4:12] = 1
    placed = place(
        {"mri": volume(mask * 7.0, np.diag([-2.0, -1.0, 3.0, 1.0]))}, volume(mask, np.diag([-2.0, -1, 3, 1]))
    )
    assert placed.mask.sum() == 64 and placed.mask[0, 4:12, 4:12].all()
    assert placed.spacing_mm == (3, 1, 1)


@given(
    width=st.integers(3, 24),
    height=st.integers(3, 24),
    factor=st.sampled_from([1, 2, 3]),
    axes=st.sampled_from(["LPS", "RAS", "PIL", "SAR"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_a_stored_mask_survives_the_way_to_the_input_grid_and_back(width, height, factor, axes, seed):
    """Exactly, where stored pixels are whole grid pixels, for any padding, cropping and order of axes."""
    size, rng = 8, np.random.default_rng(seed)
    width, height = 2 * width, 2 * height  # even, so that the window starts at a whole pixel
    affine = LPS @ orientations.inv_ornt_aff(_from_lps(axes), (width, height, 3))
    shape = orientations.apply_orientation(np.zeros((width, height, 3)), _from_lps(axes)).shape
    mri = volume(rng.random(shape), affine)
    truth = (rng.random((3, size, size)) > 0.5).astype(np.uint8)
    options = {"size": size, "pixel_mm": float(factor)}
    back = to_input_grid(truth, place({"mri": mri}, None, **options).placement)
    assert back.shape == shape and back.dtype == np.uint8
    again = place({"mri": mri}, volume(back, affine), **options)
    np.testing.assert_array_equal(again.mask, truth * _covered(width, height, size, factor))


def _from_lps(axes: str) -> np.ndarray:
    return orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes))


def _covered(width: int, height: int, size: int, factor: int) -> np.ndarray:
    """Stored pixels of which at least half lies on the grid, by counting."""

    def along(count):
        start = (count - size * factor) // 2 + factor * np.arange(size)
        return (
            np.array([sum(0 <= first + step < count for step in range(factor)) for first in start]) / factor
        )

    return (along(height)[:, None] * along(width) >= 0.5).astype(np.uint8)


# --- reading
# -----------------------------------------------------------------------------------------------------


def header(path: Path, **fields) -> None:
    """Change header fields of an uncompressed NIfTI file, as a broken export would."""
    content = bytearray(path.read_bytes())
    head = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        head[name] = value
    content[:348] = head.binaryblock
    path.write_bytes(content)


def test_scaled_integers_are_read_in_their_units(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), LPS)
    image.header.set_slope_inter(0.5, 1)
    image.to_filename(tmp_path / "a.nii.gz")
    read = read_volume(tmp_path / "a.nii.gz", "here")
    np.testing.assert_array_equal(read.data, (np.arange(24) * 0.5 + 1).reshape(2, 3, 4))
    assert read.data.dtype == np.float32


def test_one_frame_of_a_4d_file_is_a_volume(tmp_path):
    write(tmp_path / "a.nii", np.ones((3, 4, 5, 1), np.float32))
    assert read_volume(tmp_path / "a.nii", "here").data.shape == (3, 4, 5)


BAD_DATA = {
    "frames": np.ones((4, 4, 4, 2), np.float32),
    "flat": np.ones((4, 4), np.float32),
    "complex": np.ones((4, 4, 4), np.complex64),
    "nan": np.full((4, 4, 4), np.nan, np.float32),
    "infinite": np.full((4, 4, 4), np.inf, np.float32),
}
BAD_HEADER = {
    "no codes": {"sform_code": 0, "qform_code": 0},
    "singular": {"sform_code": 1, "srow_x": [0, 0, 0, 0]},
    "not finite": {"sform_code": 1, "srow_x": [np.nan, 0, 0, 0]},
    "no axis": {"dim": [3, 0, 4, 4, 1, 1, 1, 1]},
    "negative axis": {"dim": [3, -4, 4, 4, 1, 1, 1, 1]},
    "huge": {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
    "more than there is": {"dim": [3, 400, 400, 4, 1, 1, 1, 1]},
    "unknown type": {"datatype": 777},
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_is_no_volume_is_refused(tmp_path, name):
    write(tmp_path / "Jane_Doe.nii.gz", BAD_DATA[name])
    with pytest.raises(InputError, match="row 2, column pet, scan S") as caught:
        read_volume(tmp_path / "Jane_Doe.nii.gz", "row 2, column pet, scan S")
    assert "Jane" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("name", BAD_HEADER)
def test_headers_that_make_no_sense_are_refused(tmp_path, name):
    write(tmp_path / "Jane_Doe.nii", np.ones((4, 4, 4), np.float32))
    header(tmp_path / "Jane_Doe.nii", **BAD_HEADER[name])
    with pytest.raises(InputError, match="scan S") as caught:
        read_volume(tmp_path / "Jane_Doe.nii", "scan S")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 200, 400, 0.5, 0.9, -4, -1])
def test_truncated_files_are_refused(tmp_path, keep):
    write(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9), np.float32))
    write(tmp_path / "a.nii", np.random.default_rng(0).random((9, 9, 9), np.float32))
    for path in (tmp_path / "a.nii.gz", tmp_path / "a.nii"):
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
        with pytest.raises(InputError, match="cannot be read"):
            read_volume(path, "scan S")


def test_a_damaged_byte_in_a_compressed_file_is_refused(tmp_path):
    write(tmp_path / "a.nii.gz", np.random.default_rng(0).random((9, 9, 9), np.float32))
    content = bytearray((tmp_path / "a.nii.gz").read_bytes())
    for place_ in range(400, len(content), 251):
        broken = bytearray(content)
        broken[place_] ^= 16
        (tmp_path / "a.nii.gz").write_bytes(broken)
        with pytest.raises(InputError):
            read_volume(tmp_path / "a.nii.gz", "scan S")


def test_other_kinds_of_files_and_folders_are_refused(tmp_path):
    (tmp_path / "a.mha").write_bytes(b"x")
    with pytest.raises(InputError, match="unknown kind"):
        read_volume(tmp_path / "a.mha", "scan S")
    (tmp_path / "text.nii").write_text("not an image " * 100)
    with pytest.raises(InputError, match="cannot be read"):
        read_volume(tmp_path / "text.nii", "scan S")
    (tmp_path / "series").mkdir()
    with pytest.raises(InputError, match="DICOM"):
        read_volume(tmp_path / "series", "scan S")


def analyze(path: Path, data: np.ndarray, spacing: tuple[float, float, float]) -> None:
    image = nib.AnalyzeImage(data, None)
    image.header.set_zooms(spacing)
    image.to_filename(path)


def test_analyze_pairs_lie_on_the_grid_in_file_order(tmp_path):
    pet, mri, mask = scan_arrays()
    analyze(tmp_path / "pet.hdr", pet, (1.0, 1.0, 3.0))
    write(tmp_path / "mri.nii", mri)
    write(tmp_path / "mask.nii", mask)
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"], ["P", "S", "pet.img", "mri.nii", "mask.nii"]]
    store = prepare(save(tmp_path, rows), tmp_path / "s.zarr", size=20, workers=1)
    images, stored = store.read("S")
    np.testing.assert_allclose(images[:, 0, 2:18], pet.transpose(2, 1, 0), rtol=1e-6)
    np.testing.assert_array_equal(stored[:, 2:18], mask.transpose(2, 1, 0))
    assert store.scans[0].placement["assumed"] == ["pet"]


@pytest.mark.parametrize("spacing, shape", [((2.0, 1.0, 3.0), (20, 16, 5)), ((1.0, 1.0, 3.0), (20, 15, 5))])
def test_analyze_pairs_of_another_shape_or_spacing_are_refused(tmp_path, spacing, shape):
    manifest = cohort(tmp_path, 2)
    analyze(tmp_path / "pet.hdr", scan_arrays(shape=shape)[0], spacing)
    refused(change(manifest, 2, "pet", "pet.hdr"), "Analyze", "row 2", "column pet", "S0", reference="mri")


# --- what cannot be placed
# ---------------------------------------------------------------------------------------


def spoil(folder: Path, name: str, data: np.ndarray, affine: np.ndarray = LPS) -> None:
    write(folder / "s0" / name, data, affine)


def moved(*by: float) -> np.ndarray:
    affine = LPS.copy()
    affine[:3, 3] += by
    return affine


SPOILS = {
    "mask of two kinds": lambda folder: spoil(
        folder, "mask.nii.gz", scan_arrays()[2] * np.arange(1, 6, dtype=np.uint8)
    ),
    "mask of grey": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[0]),
    "mask below zero": lambda folder: spoil(folder, "mask.nii.gz", -scan_arrays()[2].astype(np.int16)),
    "mask everywhere": lambda folder: spoil(folder, "mask.nii.gz", np.ones((20, 16, 5), np.uint8)),
    "mask of another shape": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[2][:-1]),
    "mask elsewhere": lambda folder: spoil(folder, "mask.nii.gz", scan_arrays()[2], moved(0.5, 0, 0)),
    "pet elsewhere": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0], moved(500, 0, 0)),
    "pet of a corner": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0][:9]),
    "pet without the lesion": lambda folder: spoil(folder, "pet.nii.gz", scan_arrays()[0][:, :, :3]),
}
SAID = {"mask": "column mask", "pet ": "column pet"}


@pytest.mark.parametrize("name", SPOILS)
def test_what_cannot_be_placed_is_refused(tmp_path, name):
    manifest = cohort(tmp_path, 2)
    SPOILS[name](tmp_path)
    refused(manifest, "row 2", "scan S0", SAID[name[:4]])


def test_slices_that_are_not_transaxial_or_skewed_are_refused():
    _, mri, _ = scan_arrays(shape=(6, 6, 6))
    skewed = LPS.copy()
    skewed[0, 1] = 0.3
    with pytest.raises(InputError, match="skewed"):
        place({"mri": volume(mri, skewed)}, None)
    with pytest.raises(InputError, match="transaxial"):
        place({"mri": volume(mri, _tilted())}, None)


def _tilted() -> np.ndarray:
    """A corner of the cube looks up: every axis is 54.7 degrees from the vertical."""
    axes, _ = np.linalg.qr(np.array([[1, 1, 1], [0, -1, 1], [-2, 1, 1]], float).T)
    affine = np.eye(4)
    affine[:3, :3] = axes.T[[1, 2, 0]]
    return affine


def test_masks_on_different_modalities_need_a_reference(tmp_path):
    manifest = cohort(tmp_path, 3)
    coarse = nib.load(tmp_path / "s1" / "pet.nii.gz")
    mask = np.zeros(coarse.shape, np.uint8)
    mask[3:6, 3:6, 2] = 1
    write(tmp_path / "s1" / "mask.nii.gz", mask, coarse.affine)
    refused(manifest, "different modalities", "row 3", "scan S1")
    refused(manifest, "not on the grid", "row 3", reference="mri")
    store = prepare(change(manifest, 3, "mask", ""), tmp_path / "s.zarr", size=16, workers=1)
    assert store.placed["reference"] == "mri"


def test_the_reference_chooses_the_grid(tmp_path):
    manifest = cohort(tmp_path, 3)
    for row in (2, 3):
        change(manifest, row, "mask", "")
    assert prepare(manifest, tmp_path / "fine.zarr", size=16, workers=1).placed["reference"] == "mri"
    store = prepare(manifest, tmp_path / "coarse.zarr", size=16, reference="pet", workers=1)
    assert store.scans[0].placement["input_shape"] == [12, 11, 5]
    refused(manifest, "reference", "pet, mri", reference="ct")


# --- manifests
# ---------------------------------------------------------------------------------------------------


def test_missing_and_doubled_things_are_named(tmp_path):
    manifest = cohort(tmp_path, 3)
    whole = manifest.read_text()
    for row, column, value, words in (
        (3, "pet", "s1/nothing.nii.gz", ["row 3", "scan S1", "column pet", "does not exist"]),
        (3, "mask", "s1/nothing.nii.gz", ["row 3", "column mask", "does not exist"]),
        (3, "mri", "", ["row 3", "column mri", "empty cell"]),
        (3, "scan_id", "S0", ["row 3", "scan S0", "row 2"]),
        (3, "scan_id", "s0", ["row 3", "row 2"]),
        (3, "scan_id", "", ["row 3", "column scan_id"]),
        (3, "scan_id", "../S1", ["row 3", "column scan_id"]),
        (3, "scan_id", "Jane Doe", ["row 3", "column scan_id"]),
        (3, "patient_id", "", ["row 3", "column patient_id", "missing"]),
        (3, "patient_id", "..", ["row 3", "column patient_id"]),
        (3, "pet", "s0/pet.nii.gz", ["row 3", "scan S1", "column pet", "scan S0"]),
        (1, "mask", "truth", ["row 1", "mask"]),
        (1, "mri", "pet", ["row 1", "same name", "columns 3 and 4"]),
        (1, "mri", "T1 weighted", ["row 1", "column 4", "modality", "other characters"]),
    ):
        refused(change(manifest, row, column, value), *words)
        manifest.write_text(whole)


@pytest.mark.parametrize("column", ["patient_id", "scan_id", "split"])
@pytest.mark.parametrize("cell", ["scans/Smith_John/pet.nii", "Smith John", "Smith" * 60])
def test_cells_that_have_shifted_are_not_shown(tmp_path, column, cell):
    manifest = cohort(tmp_path, 2)
    rows = list(csv.reader(manifest.read_text().splitlines()))
    manifest = save(tmp_path, [[*rows[0], "split"], [*rows[1], "train"], [*rows[2], "test"]])
    text = refused(change(manifest, 2, column, cell), "row 2", f"column {column}", found(column, cell))
    assert "Smith" not in text


def found(column: str, cell: str) -> str:
    if column == "split":
        return "another word"
    return "other characters" if len(cell) <= 100 else "more than 100 characters"


@pytest.mark.parametrize("names", [("scans/Smith", "scans/Smith"), ("pet", "scans/Smith")])
def test_a_header_of_shifted_cells_is_not_shown(tmp_path, names):
    manifest = change(change(cohort(tmp_path, 2), 1, "mri", names[1]), 1, "pet", names[0])
    assert "Smith" not in refused(manifest, "row 1", "column")


@pytest.mark.parametrize("column", ["pet", "mask"])
def test_a_name_too_long_for_a_file_is_refused(tmp_path, column):
    manifest = change(cohort(tmp_path, 2), 2, column, "Smith" * 60)
    text = refused(manifest, "row 2", "scan S0", f"column {column}", "cannot be looked up", "too long")
    assert "Smith" not in text


@pytest.mark.parametrize("first, second", [("pet", "mri"), ("pet", "mask"), ("mri", "mask")])
def test_a_file_in_two_columns_of_a_row_is_refused(tmp_path, first, second):
    manifest = change(cohort(tmp_path, 2), 2, second, f"s0/../s0/{first}.nii.gz")
    refused(manifest, "row 2", "scan S0", f"column {second}", f"also in column {first}", "two columns")


def test_both_halves_of_a_pair_are_one_file(tmp_path):
    analyze(tmp_path / "both.hdr", scan_arrays()[0], (1.0, 1.0, 3.0))
    manifest = change(change(cohort(tmp_path, 2), 2, "pet", "both.hdr"), 2, "mri", "both.img")
    refused(manifest, "row 2", "column mri", "also in column pet", "two columns")


def test_splits_are_checked(tmp_path):
    manifest = cohort(tmp_path, 3)
    rows = [
        [*row, split]
        for row, split in zip(
            csv.reader(manifest.read_text().splitlines()), ["split", "train", "test", "test"], strict=True
        )
    ]
    assert [row.split for row in read_manifest(save(tmp_path, rows))] == ["train", "test", "test"]
    whole = manifest.read_text()
    refused(
        change(manifest, 3, "split", "dev"),
        "row 3",
        "scan S1",
        "column split",
        "train, validation, test",
        "another word",
    )
    manifest.write_text(whole)
    refused(change(manifest, 3, "split", ""), "row 3", "column split")
    manifest.write_text(whole)
    refused(change(manifest, 3, "patient_id", "P0"), "row 3", "two splits", "row 2")


def test_empty_and_unreadable_manifests_are_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    lines = manifest.read_text().splitlines()
    for text, word in (
        ("", "lacks a column"),
        (lines[0] + "\n", "empty"),
        ("patient_id,scan_id,mask\nP,S,\n", "no modality"),
        (lines[0] + "\nP,S\n", "row 2"),
        (lines[0] + '\nP,S,"a,b\n', "cannot be read"),
    ):
        manifest.write_text(text)
        refused(manifest, word)
    manifest.write_bytes(b"patient_id,scan_id,pet,mask\n\xff\xfe,S,,\n")
    refused(manifest, "UTF-8")
    manifest.unlink()
    refused(manifest, "no such manifest")


def test_blank_lines_marks_and_absolute_paths_are_welcome(tmp_path):
    manifest = cohort(tmp_path, 2)
    lines = manifest.read_text().replace("s0/pet", f"{tmp_path}/s0/pet").splitlines()
    manifest.write_text("\ufeff" + "\n\n".join(lines) + "\n", encoding="utf-8")
    assert [row.scan_id for row in read_manifest(manifest)] == ["S0", "S1"]


def test_settings_out_of_range_are_refused(tmp_path):
    manifest = cohort(tmp_path, 2)
    refused(manifest, "--size", size=0)
    refused(manifest, "--pixel-mm", pixel_mm=-1.0)
    refused(manifest, "--pixel-mm", pixel_mm=float("nan"))
    refused(manifest, "--workers", workers=0)


def test_the_same_images_twice_are_refused(tmp_path):
    manifest = cohort(tmp_path, 3)
    shutil.rmtree(tmp_path / "s1")
    shutil.copytree(tmp_path / "s0", tmp_path / "s1")
    refused(manifest, "same images", "row 3", "row 2")


def test_cores_are_counted_where_the_system_knows_no_affinity(monkeypatch):
    """As on macOS."""
    assert 1 <= cores() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


# --- the whole way
# -----------------------------------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_store(tmp_path):
    manifest, told = cohort(tmp_path, 4), []
    one = prepare(manifest, tmp_path / "one.zarr", size=16, workers=1)
    two = prepare(
        manifest, tmp_path / "two.zarr", size=16, workers=2, progress=lambda *step: told.append(step)
    )
    assert one.digest == two.digest and one.scans == two.scans
    assert told[0][:2] == (0, 4) and told[-1][:2] == (4, 4)
    assert verify_store(two) == 20
    assert [scan.placement["has_mask"] for scan in one.scans] == [True, True, True, False]
    other = prepare(manifest, tmp_path / "other.zarr", size=16, pixel_mm=1.5, workers=1)
    assert other.digest != one.digest


def test_of_several_refused_scans_the_first_is_reported_and_nothing_is_left(tmp_path):
    manifest = cohort(tmp_path, 6)
    for scan in ("s2", "s4"):
        path = tmp_path / scan / "pet.nii.gz"
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(content[:-40]))
    for workers in (1, 2):
        refused(manifest, "row 4, scan S2, column pet", workers=workers)


def test_an_existing_store_survives_a_refused_one(tmp_path):
    manifest = cohort(tmp_path, 2)
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    with pytest.raises(InputError, match="already"):
        prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    (tmp_path / "s0" / "pet.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match="S0"):
        prepare(manifest, tmp_path / "s.zarr", size=16, workers=1, overwrite=True)
    assert open_store(tmp_path / "s.zarr") == store
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.csv", "s.zarr", "s0", "s1"]


# --- the real cohort
# ---------------------------------------------------------------------------------------------


def test_slices_with_and_without_lesion_in_the_real_cohort():
    """1,204 with and 801 without on the MR grid, as the data's own page counts them."""
    folder, positive, negative = sts(), 0, 0
    for row in read_manifest(folder / "manifest.csv"):
        slices = read_volume(row.mask, row.where).data.any(axis=(0, 1))
        positive, negative = positive + int(slices.sum()), negative + int((~slices).sum())
    assert (positive, negative) == (1204, 801)


def test_real_scans_are_placed_as_simpleitk_places_them(tmp_path):
    folder = sts()
    rows = list(csv.reader((folder / "manifest.csv").read_text().splitlines()))
    chosen = [rows[0]] + [row for row in rows if row[0] in ("STS_008", "STS_025")]
    chosen[1:] = [[row[0], row[1], *(str(folder / cell) for cell in row[2:])] for row in chosen[1:]]
    store = prepare(save(tmp_path, chosen), tmp_path / "s.zarr", size=128, pixel_mm=1.7, workers=1)
    for scan, row in zip(store.scans, chosen[1:], strict=True):
        pet, mri, mask = (sitk.ReadImage(path) for path in row[2:])
        grid = sitk.Image([128, 128, scan.slices], sitk.sitkFloat32)
        affine = np.array(scan.affine)
        flip = np.diag([-1.0, -1.0, 1.0])
        grid.SetSpacing(scan.spacing_mm[::-1])
        grid.SetDirection((flip @ affine[:3, :3] / np.array(scan.spacing_mm[::-1])).ravel().tolist())
        grid.SetOrigin((flip @ affine[:3, 3]).tolist())
        images, stored = store.read(scan.scan_id)
        oracle = sitk.GetArrayFromImage(sitk.Resample(pet, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
        # Ours goes through the MR grid, is smoothed a little more, and is padded where the MR ends.
        ones = sitk.GetImageFromArray(np.ones(mri.GetSize()[::-1], np.float32))
        ones.CopyInformation(mri)
        inside = sitk.GetArrayFromImage(sitk.Resample(ones, grid, sitk.Transform(), sitk.sitkLinear, 0.0)) > 0
        assert np.corrcoef(oracle[inside], images[:, 0][inside])[0, 1] > 0.999
        assert np.abs(oracle - images[:, 0])[inside].mean() < 0.01 * oracle.max()
        truth = sitk.GetArrayFromImage(sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), grid)) >= 0.5
        assert dice(truth, stored) > 0.97
        assert dice(to_input_grid(stored, scan.placement), nib.load(row[4]).get_fdata()) > 0.95
        assert sum(scan.source_lesion_px) == int(sitk.GetArrayFromImage(mask).sum())
