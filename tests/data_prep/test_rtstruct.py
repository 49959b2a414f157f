"""DICOM contours as masks: regions chosen, kinds of contours, the image they were drawn on, and the real cohort."""

import csv
from copy import deepcopy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_files import classic_series
from dicom_files import write as write_series
from dicom_masks import box, contour, structures
from pydicom import dcmread
from scans import cohort, dice, prepare, refused, save, sts, write

from data_prep.dicom.rtstruct import structure_of
from data_prep.files.read import read_grid
from data_prep.masks.mask_of_cell import MaskCell, drawn_on, read_mask
from hnscc.base.errors import InputError

SHAPE = (20, 16, 5)
LPS = np.diag([-1.0, -1.0, 3.0, 1.0])  # as cohort() writes its MRI: DICOM's x and y are columns and rows


# The lesion of scans.cohort: columns 6 to 13, rows 5 to 11, slices 1 to 3.
LESION = [contour(box(6, 5, 8, 7, z)) for z in (1, 2, 3)]


def with_contours(folder: Path, regions: dict[str, list[dict]], roi: str = "") -> Path:
    """scans.cohort, whose first mask is an RTSTRUCT drawn on its MRI."""
    manifest = cohort(folder, 2)
    structures(folder / "s0" / "rt" / "RS.dcm", regions)
    rows = list(csv.reader(manifest.read_text().splitlines()))
    cells = ("roi", roi, "")
    rows[1][rows[0].index("mask")] = "s0/rt/RS.dcm"
    return save(folder, [[*row, cell] for row, cell in zip(rows, cells, strict=True)])


def read(path: Path, region: str | None = None, mri: Path | None = None, **images: Path):
    given = {"mri": mri or path.parent / "mri.nii.gz"} | images
    grids = {name: read_grid(each, "S") for name, each in given.items()}
    return read_mask(MaskCell(path, region, given, "scan S, column mask"), grids, "mri")


@pytest.mark.quick(2)
@pytest.mark.parametrize("roi", ["", "gtv", "G*", "1"])
def test_contours_give_the_store_of_the_mask_that_they_outline(tmp_path, roi):
    plain = prepare(cohort(tmp_path / "plain", 2), tmp_path / "plain.zarr", size=16, workers=1)
    manifest = with_contours(tmp_path / "rt", {"GTV": LESION, **({"Body": LESION[:1]} if roi else {})}, roi)
    store = prepare(manifest, tmp_path / "rt.zarr", size=16, workers=1)
    assert store.scans[0].digest == plain.scans[0].digest
    assert store.scans[0].placement["mask_told"] == [
        "contours that refer to no series of the row are taken as drawn on mri"
    ]


def test_the_folder_of_the_contours_may_be_named(tmp_path):
    manifest = with_contours(tmp_path, {"GTV": LESION})
    text = manifest.read_text()
    one = prepare(manifest, tmp_path / "one.zarr", size=16, workers=1)
    manifest.write_text(text.replace("s0/rt/RS.dcm", "s0/rt"))
    assert prepare(manifest, tmp_path / "two.zarr", size=16, workers=1).digest == one.digest
    structures(tmp_path / "s0" / "rt" / "second.dcm", {"GTV": LESION})
    refused(manifest, "several masks", "2 of them")


def test_regions_that_fit_a_pattern_are_lesion_together_and_told(tmp_path):
    write(tmp_path / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    halves = {"GTV 1": [contour(box(6, 5, 5, 7, 1))], "GTV 2": [contour(box(9, 5, 5, 7, 1))], "x": LESION}
    mask = read(structures(tmp_path / "a.dcm", halves), "gtv*")
    expected = np.zeros(SHAPE)
    expected[6:14, 5:12, 1] = 1  # what both cover is lesion: the rule of odd and even is one region's own
    np.testing.assert_array_equal(mask.volume.data, expected)
    assert "regions that are lesion together: 2" in mask.told


def test_points_and_contours_without_area_are_left_out_and_told(tmp_path):
    write(tmp_path / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    others = [contour([1, 2, 3], "POINT"), contour([1, 2, 3, 4, 2, 3])]
    mask = read(structures(tmp_path / "a.dcm", {"GTV": LESION + others}))
    assert mask.volume.data.sum() == 8 * 7 * 3
    told = (
        "single points left out of the region: 1",
        "contours of one or two points left out of the region: 1",
    )
    assert mask.told[1:] == told


TWICE = box(1, 1, 4, 4, 1) * 2
DOT = [5, 5, 3, 5.5, 5, 3, 5, 5.5, 3]  # an eighth of a pixel
WRONG = {
    "twice around": ([contour(TWICE)], "enclose nothing"),
    "a line": ([contour([5, 5, 3, 7, 6, 3, 9, 7, 3])], "enclose nothing"),
    "a dot": ([contour(DOT)], "cover half of no voxel"),
    "open": ([*LESION, contour(box(1, 1, 2, 2, 1), "OPEN_PLANAR")], "1 open one among 4"),
    "points alone": ([contour([1, 2, 3], "POINT")], "no closed contour"),
    "never drawn": ([], "no region"),
    "count": ([contour(box(1, 1, 2, 2, 1), NumberOfContourPoints=5)], "damaged"),
    "more than counted": ([contour(box(1, 1, 2, 2, 1), NumberOfContourPoints=3)], "damaged"),
    "no threes": ([contour(box(1, 1, 2, 2, 1)[:-1])], "damaged"),
    "no threes, uncounted": ([contour(box(1, 1, 2, 2, 1)[:-1], NumberOfContourPoints=None)], "damaged"),
    "crossing": ([contour(box(1, 1, 4, 4, 1)), contour(box(3, 1, 4, 4, 1))], "cross one another"),
    "crossing, one meant so": (
        [contour(box(1, 1, 4, 4, 1)), contour(box(3, 1, 4, 4, 1), "CLOSEDPLANAR_XOR")],
        "cross one another",
    ),
    "far away": ([contour(box(4000, 1, 4, 4, 1))], "farther away"),
}


@pytest.mark.parametrize("case", WRONG)
def test_regions_that_enclose_nothing_certain_are_refused(tmp_path, case):
    contours, words = WRONG[case]
    text = refused(with_contours(tmp_path, {"GTV of Doe": contours}), "row 2, scan S0, column mask", words)
    assert "Doe" not in text


def test_contours_and_regions_of_which_nothing_is_left_are_told_beside_others(tmp_path):
    """Alone, each of them had made a scan without lesion of one with a lesion."""
    write(tmp_path / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    regions = {"GTV 1": [*LESION, contour(TWICE)], "GTV 2": [contour(DOT)]}
    mask = read(structures(tmp_path / "a.dcm", regions), "gtv*")
    assert mask.volume.data.sum() == 8 * 7 * 3
    assert mask.told[2:] == (
        "contours that enclose nothing left out of the region: 1",
        "regions that cover half of no voxel, and are lost: 1",
    )


@pytest.mark.parametrize("text", [b"no numb.", b"nan     ", b"1e999999", b"7\\777777"])
def test_coordinates_that_are_no_finite_numbers_are_refused(tmp_path, text):
    manifest = with_contours(tmp_path, {"GTV": [contour([77777777, *box(1, 1, 2, 2, 1)[1:]])]})
    file = tmp_path / "s0" / "rt" / "RS.dcm"
    content = file.read_bytes()
    assert content.count(b"77777777") == 1
    file.write_bytes(content.replace(b"77777777", text))
    refused(manifest, "A contour is damaged")


def test_a_region_named_and_never_drawn_is_no_scan_without_lesion(tmp_path):
    text = refused(with_contours(tmp_path, {"GTV": [], "Body": LESION}, "GTV"), "no closed contour")
    assert "found:      none" in text
    refused(
        with_contours(tmp_path / "two", {"GTV of Doe": LESION, "Body": LESION}), "several regions", "`roi`"
    )
    text = refused(
        with_contours(tmp_path / "no", {"GTV of Doe": LESION}, "CTV"),
        "no such region",
        "1 region of another name",
    )
    assert "Doe" not in text


def test_regions_of_several_frames_of_reference_are_refused(tmp_path):
    write(tmp_path / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    written = dcmread(structures(tmp_path / "a.dcm", {"GTV 1": LESION, "GTV 2": LESION[:1]}))
    written.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.77"
    written.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="several frames of reference"):
        read(tmp_path / "a.dcm", "gtv*")
    assert read(tmp_path / "a.dcm", "GTV 1").volume.data.sum() == 8 * 7 * 3


def test_overlaps_are_taken_out_where_the_file_says_so(tmp_path):
    write(tmp_path / "mri.nii.gz", np.zeros(SHAPE, np.float32), LPS)
    crossing = [contour(box(x, 1, 4, 4, 1), "CLOSEDPLANAR_XOR") for x in (1, 3)]
    mask = read(structures(tmp_path / "a.dcm", {"GTV": crossing}))
    np.testing.assert_array_equal(mask.volume.data[:8, 2, 1], [0, 1, 1, 0, 0, 1, 1, 0])


def series(folder: Path, uid: str, frame: str = "1.2.826.0.1.3", **options) -> Path:
    """A DICOM series of the shape of SHAPE, its first voxel's centre at 0."""
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint16)
    made = classic_series(values, origin=(0, 0, 0), **{"pixel": (1, 1), "step": 3.0} | options)
    for each in made:
        each.SeriesInstanceUID, each.FrameOfReferenceUID = uid, frame
    return write_series(folder, made)


def test_contours_lie_on_the_series_that_they_refer_to_else_on_one_of_their_frame(tmp_path):
    images = {
        "mri": series(tmp_path / "mri", "1.2.1"),
        "pet": series(tmp_path / "pet", "1.2.2", pixel=(2, 2)),
        "ct": series(tmp_path / "ct", "1.2.3", frame="9.9"),
    }
    grids = {name: read_grid(path, "S") for name, path in images.items()}
    for uid, frame, expected, on in (
        ("1.2.2", "1.2.826.0.1.3", ["pet"], "pet"),
        ("1.2.77", "1.2.826.0.1.3", ["mri", "pet"], "mri"),
        ("1.2.77", "9.9", ["ct"], "ct"),
    ):
        path = structures(tmp_path / "rt" / "RS.dcm", {"GTV": LESION}, frame, uid)
        cell = MaskCell(path, None, images, "scan S")
        assert drawn_on(cell, grids) == expected
        mask = read_mask(cell, grids, "mri")
        assert mask.volume.grid is grids[on]
        assert bool(mask.told) == (uid == "1.2.77")
    path = structures(tmp_path / "rt" / "RS.dcm", {"GTV": LESION}, "8.8", "1.2.77")
    with pytest.raises(InputError, match="another frame of reference"):
        drawn_on(MaskCell(path, None, images, "scan S"), grids)


def test_images_and_contours_may_lie_in_one_folder(tmp_path):
    series(tmp_path / "p1", "1.2.1")
    structures(tmp_path / "p1" / "RS.dcm", {"GTV": LESION}, series="1.2.1")
    manifest = save(tmp_path, [["patient_id", "scan_id", "mri", "mask"], ["P1", "S1", "p1", "p1"]])
    store = prepare(manifest, tmp_path / "s.zarr", size=20, workers=1)
    assert store.scans[0].source_lesion_px == (0, 56, 56, 56, 0)
    assert store.scans[0].placement["mask_told"] == []
    series(tmp_path / "p2", "1.2.2")
    manifest = save(tmp_path, [*csv.reader(manifest.read_text().splitlines()), ["P2", "S2", "p2", "p1"]])
    refused(manifest, "row 3, scan S2, column mask", "used by two scans", "row 2")


@pytest.mark.parametrize("patient", ["STS_008", "STS_025"])
@pytest.mark.parametrize("modality", ["PET", "MR_T1"])
def test_contours_of_the_real_cohort_are_its_masks(patient, modality):
    """Against the masks that another program (MIRP) made of the same files."""
    folder = sts() / "dicom" / patient / modality
    nifti = sts() / "nifti" / patient
    images = {"image": folder / "image"}
    cell = MaskCell(folder / "mask", f"GTV_Mass_{modality}", images, "S")
    mask = read_mask(cell, {"image": read_grid(folder / "image", "S")}, "image")
    other = nib.load(nifti / f"{modality}_mask.nii.gz")
    np.testing.assert_allclose(mask.volume.grid.affine, other.affine, atol=2e-3)
    assert dice(mask.volume.data, np.asarray(other.dataobj) > 0) >= (1 if modality == "MR_T1" else 0.98)
    assert mask.told == ()


def test_a_real_scan_gives_one_store_as_dicom_and_as_nifti(tmp_path):
    """PET in SUV, MR, and contours of the PET brought to the MR by area, against MIRP's volumes and mask."""
    dicom, nifti = sts() / "dicom" / "STS_025", sts() / "nifti" / "STS_025"
    paths = {
        "dicom": [dicom / "PET" / "image", dicom / "MR_T1" / "image", dicom / "PET" / "mask"],
        "nifti": [nifti / f"{name}.nii.gz" for name in ("PET_image", "MR_T1_image", "PET_mask")],
    }
    stores = []
    for kind, files in paths.items():
        (tmp_path / kind).mkdir()
        row = ["P", "S", *map(str, files)]
        manifest = save(tmp_path / kind, [["patient_id", "scan_id", "pet", "mri", "mask"], row])
        options = {"size": 96, "pixel_mm": 1.7, "reference": "mri", "workers": 1, "accept_odd": "real"}
        stores.append(prepare(manifest, tmp_path / f"{kind}.zarr", **options))
    (images, mask), (other_images, other_mask) = (store.read("S") for store in stores)
    np.testing.assert_allclose(images, other_images, atol=1e-3)
    assert dice(mask, other_mask) >= 0.99
    assert stores[0].scans[0].placement["lesion"]["drawn_on"] == "pet"


@pytest.mark.parametrize("sequence", ["ROIContourSequence", "StructureSetROISequence"])
@pytest.mark.parametrize("region", [None, "GTV"])
def test_two_regions_of_one_number_are_refused(tmp_path, sequence, region):
    """Of two items with contours the last one counted, and two thirds of a lesion were lost without a word."""
    structures(tmp_path / "RS.dcm", {"GTV": LESION[:1]})
    written = dcmread(tmp_path / "RS.dcm")
    again = deepcopy(written[sequence].value[0])
    if sequence == "ROIContourSequence":
        again.ContourSequence[0].ContourData = list(LESION[1]["ContourData"])
    else:
        again.ROIName = "Cord"
    written[sequence].value.append(again)
    written.save_as(tmp_path / "RS.dcm")
    with pytest.raises(InputError, match="Two regions bear one number"):
        structure_of(dcmread(tmp_path / "RS.dcm"), region, "row 2")
