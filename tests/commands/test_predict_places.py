"""`hnscc predict`: a mask lies where its scan lies, however the scan's file is written."""

import csv

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scans import save, write
from trained_runs import UPRIGHT, scan_of, write_scans

import hnscc


def turned(degrees, axis):
    angle = np.radians(degrees)
    a, b = [each for each in range(3) if each != axis]
    matrix = np.eye(4)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


# How the same scan is written: which axes its file has, in which direction they run, and how it is turned in space.
WAYS = {
    "axial": ((0, 1, 2), (1, 1, 1), np.eye(4)),
    "flipped": ((0, 1, 2), (-1, 1, -1), np.eye(4)),
    "sagittal": ((2, 0, 1), (1, -1, 1), np.eye(4)),
    "coronal": ((0, 2, 1), (-1, 1, -1), np.eye(4)),
    "oblique": ((0, 1, 2), (1, 1, 1), turned(17, 0) @ turned(-9, 2)),
    "oblique and flipped": ((2, 1, 0), (-1, 1, 1), turned(-21, 1) @ turned(8, 0)),
}


def written(data, order, signs, turn):
    """The volume (x, y, z) of the upright grid in another order of axes, and the affine that leaves each voxel where
    it was, turned in space."""
    to_file = np.zeros((4, 4))
    to_file[3, 3] = 1
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        to_file[axis, column] = sign
        to_file[axis, 3] += 0 if sign > 0 else data.shape[axis] - 1
    flipped = data[tuple(slice(None, None, sign) for sign in np.array(signs)[np.argsort(order)])]
    return np.ascontiguousarray(flipped.transpose(order)), turn @ UPRIGHT @ to_file


def points(mask, affine):
    """Where the voxels of a mask lie, in mm, in one order."""
    at = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return at[np.lexsort(np.round(at, 3).T)]


@pytest.fixture(scope="module")
def everywhere(trained, tmp_path_factory):
    """One scan written in every way, predicted; the folders of the files and of the masks."""
    folder = tmp_path_factory.mktemp("ways")
    volumes = scan_of(101)
    del volumes["mask"]
    rows = [["patient_id", "scan_id", "pet", "mri"]]
    for number, way in enumerate(WAYS.values()):
        for name, data in volumes.items():
            write(folder / f"{number}-{name}.nii.gz", *written(data, *way))
        rows.append([f"Q{number}", f"w{number}", f"{number}-pet.nii.gz", f"{number}-mri.nii.gz"])
    hnscc.predict(trained.root, save(folder, rows), folder / "out", variant="pet_mri")
    return folder


@pytest.mark.quick(3)
@pytest.mark.parametrize("number", range(len(WAYS)), ids=WAYS)
def test_a_mask_lies_where_its_scan_lies(everywhere, number):
    """The same lesion, whatever the order of axes; read by nibabel and by SimpleITK."""
    source = nib.load(everywhere / f"{number}-mri.nii.gz")
    mask = nib.load(everywhere / "out" / f"w{number}.nii.gz")
    assert mask.shape == source.shape and mask.get_data_dtype() == np.uint8
    assert np.abs(mask.affine - source.affine).max() < 1e-4
    assert mask.header.get_xyzt_units()[0] == "mm"
    for form in (mask.get_sform(coded=True), mask.get_qform(coded=True)):
        assert form[1] == 1 and np.abs(form[0] - source.affine).max() < 1e-4
    upright = nib.load(everywhere / "out" / "w0.nii.gz")
    turn = list(WAYS.values())[number][2]
    expected = points(np.asarray(upright.dataobj), turn @ upright.affine)
    assert len(expected) > 10
    assert np.abs(points(np.asarray(mask.dataobj), mask.affine) - expected).max() < 1e-3
    with (everywhere / "out" / "lesions.csv").open() as file:
        lesions = [row for row in csv.DictReader(file) if row["scan_id"] == f"w{number}"]
    voxels, *at = (
        np.array([float(row[name]) for row in lesions]) for name in ("voxels", "x_mm", "y_mm", "z_mm")
    )
    assert np.abs(np.array(at) @ voxels / voxels.sum() - expected.mean(axis=0)).max() < 0.01
    image = sitk.ReadImage(everywhere / "out" / f"w{number}.nii.gz")
    voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1]
    lps = np.array([image.TransformIndexToPhysicalPoint(list(map(int, each))) for each in voxels])
    ras = lps * [-1, -1, 1]
    assert np.abs(ras[np.lexsort(np.round(ras, 3).T)] - expected).max() < 1e-3


def test_the_picture_shows_nothing_beside_a_narrow_scan(trained, tmp_path):
    """Of 6 columns, stored as the middle ones of 16: what was predicted in the padding was shown, and in no mask."""
    manifest = write_scans(tmp_path, {"a": {"pet": scan_of(101)["pet"][5:11]}})
    out = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet").folder
    assert np.asarray(nib.load(out / "a.nii.gz").dataobj).all(), "so far more than the scan was predicted"
    picture = matplotlib.image.imread(out / "a.png")
    first = picture[picture.shape[0] // 3 :, : picture.shape[1] // 4, :3]  # of four slices in a row
    dashes = np.abs(first - [0, 0xE5 / 255, 1]).max(axis=2) < 0.1
    columns = np.flatnonzero(dashes.any(axis=0)) / first.shape[1]
    assert 0.28 < columns.min() < 0.36 and 0.64 < columns.max() < 0.72
