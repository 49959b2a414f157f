"""Masks of other values than 0 and 1: label maps of which `roi` chooses one, and what floats leave of whole numbers."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from scans import (
    LPS,
    change,
    cohort,
    place,
    prepare,
    read_manifest,
    refused,
    save,
    scan_arrays,
    to_itk,
    volume,
    write,
)

from data_prep.dicom.regions import chosen
from data_prep.masks.mask_of_cell import MaskCell, read_mask
from hnscc.base.errors import InputError

MASK = scan_arrays()[2]


def with_roi(manifest, *cells: str):
    """The manifest with a column `roi`."""
    rows = list(csv.reader(manifest.read_text().splitlines()))
    return save(manifest.parent, [[*row, cell] for row, cell in zip(rows, ("roi", *cells), strict=True)])


def label_map() -> np.ndarray:
    """The lesion is 3, beside organs 1 and 2."""
    labels = MASK.astype(np.int16) * 3
    labels[0:4], labels[16:] = 1, 2
    return labels


@pytest.mark.quick(3)
@pytest.mark.parametrize("cell", ["3", "label:3", "LABEL: 3", "3.0", "3,0"])
def test_one_label_of_a_map_is_the_lesion(tmp_path, cell):
    manifest = cohort(tmp_path, 2)
    plain = prepare(manifest, tmp_path / "plain.zarr", size=16, workers=1)
    write(tmp_path / "s0" / "mask.nii.gz", label_map())
    labelled = prepare(with_roi(manifest, cell, ""), tmp_path / "labelled.zarr", size=16, workers=1)
    assert labelled.scans[0].digest == plain.scans[0].digest


def test_a_label_map_without_a_choice_is_refused_and_told_of_the_column(tmp_path):
    manifest = cohort(tmp_path, 2)
    write(tmp_path / "s0" / "mask.nii.gz", label_map())
    refused(manifest, "row 2", "column mask", "not binary", "4 values, from 0 to 3", "column `roi`")
    refused(with_roi(manifest, "GTV", ""), "row 2", "A label map knows no names")
    several = change(manifest, 2, "roi", "1,2")
    refused(
        several, "row 2", "A label map knows no names", "several numbers", "a file that holds them as one"
    )
    write(tmp_path / "s0" / "mask.nii.gz", label_map() / np.float32(2))
    refused(change(manifest, 2, "roi", "1"), "row 2", "holds no labels", "not all of them whole")


def test_a_label_that_stands_nowhere_is_no_lesion_and_told(tmp_path):
    manifest = with_roi(cohort(tmp_path, 2), "2", "")
    store = prepare(manifest, tmp_path / "s.zarr", size=16, workers=1)
    assert [scan.placement["lesion_free"] for scan in store.scans] == [
        "a mask without lesion",
        "an empty cell",
    ]


@pytest.mark.parametrize("ending", [".nii", ".mha"])
@pytest.mark.parametrize("at", [6, 0])
def test_a_label_far_above_all_others_is_a_label(tmp_path, ending, at):
    """Within the map it was refused as a value that stands for nothing; at the border, taken for no lesion."""
    labels = np.random.default_rng(0).integers(0, 18, MASK.shape).astype(np.int16)
    labels[at : at + 3, at : at + 3] = 200
    path = tmp_path / f"labels{ending}"
    if ending == ".nii":
        write(path, labels)
    else:
        sitk.WriteImage(to_itk(labels, LPS), str(path))
    mask = read_mask(MaskCell(path, "label:200", {}, "S"), {}, "")
    np.testing.assert_array_equal(mask.volume.data, labels == 200)


def test_a_region_without_a_mask_is_a_slip(tmp_path):
    for cell in ("", "none"):
        manifest = change(cohort(tmp_path, 2), 3, "mask", cell)
        with pytest.raises(InputError, match="row 3, scan S1, column roi"):
            read_manifest(with_roi(manifest, "", "GTV"))


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 255]),
        np.array([0, 2]),
        np.array([0, 0.9999]),
        np.array([0, 0.0039]),  # a 1 scaled by 1/255
        np.array([1e-7, 1.0]),  # both near whole numbers, none of them 0
    ],
)
def test_two_values_are_a_mask(values):
    expected = place({"mri": volume(scan_arrays()[1])}, volume(MASK)).mask
    other = place({"mri": volume(scan_arrays()[1])}, volume(values[MASK]))
    np.testing.assert_array_equal(other.mask, expected)


def test_a_mask_that_calls_every_voxel_lesion_is_refused_as_that():
    """It was said to be not binary, and to need its number in column `roi`, which then asked for the same again."""
    with pytest.raises(InputError, match="calls every voxel of the image lesion") as caught:
        place({"mri": volume(scan_arrays()[1])}, volume(np.ones_like(MASK)))
    assert caught.value.found == "1 everywhere" and "roi" not in caught.value.do


def test_what_floats_leave_of_whole_numbers_is_taken_as_them(tmp_path):
    noisy = MASK + np.random.default_rng(0).uniform(-1e-4, 1e-4, MASK.shape)
    expected = place({"mri": volume(scan_arrays()[1])}, volume(MASK)).mask
    np.testing.assert_array_equal(place({"mri": volume(scan_arrays()[1])}, volume(noisy)).mask, expected)
    write(tmp_path / "mask.nii.gz", (3 * noisy).astype(np.float32))
    np.testing.assert_array_equal(
        read_mask(MaskCell(tmp_path / "mask.nii.gz", "3", {}, "S"), {}, "").volume.data, MASK
    )
    for share in (0.5, 0.99):
        with pytest.raises(InputError, match="not binary"):
            place({"mri": volume(scan_arrays()[1])}, volume(np.where(MASK & (noisy > 1), share, MASK)))


NAMES = {1: "GTV_Primary", 2: "GTV_Node", 4: "Body ", 7: "ptv*", 9: "12", 11: "Läsion"}


@pytest.mark.parametrize(
    "region, expected",
    [
        ("gtv_primary", [1]),
        (" BODY", [4]),
        ("GTV*", [1, 2]),
        ("?TV_Node", [2]),
        ("PTV*", [7]),  # a region of that very name comes before the pattern
        ("12", [9]),
        ("2", [2]),
        ("label:4", [4]),
        ("La\u0308sion", [11]),  # typed by macOS in two signs, where the file has one
    ],
)
def test_regions_are_chosen_by_name_pattern_or_number(region, expected):
    assert chosen(NAMES, region, "S") == expected


@pytest.mark.parametrize("region", ["GTV", "3", "G.V*", "CTV*", "*gtv_primary_"])
def test_a_region_that_is_not_there_is_refused_without_the_names_of_the_others(region):
    with pytest.raises(InputError, match="no such region") as caught:
        chosen(NAMES, region, "S")
    assert "Primary" not in str(caught.value) and "6 regions" in str(caught.value)


def test_without_a_choice_there_must_be_one_region():
    assert chosen({5: "anything"}, None, "S") == [5]
    for names, words in ((NAMES, "several regions"), ({}, "no region")):
        with pytest.raises(InputError, match=words):
            chosen(names, None, "S")
    with pytest.raises(InputError, match="Two regions"):
        chosen({1: "GTV", 2: "gtv "}, "GTV", "S")


def write_segments(path, labels: np.ndarray, segments: dict[str, int]) -> None:
    """Write a label map as 3D Slicer does: as .seg.nrrd, with the name and the label of each segment."""
    image = to_itk(labels.astype(np.int16), LPS)
    for at, (name, label) in enumerate(segments.items()):
        for key, value in {"ID": f"Segment_{at + 1}", "Name": name, "LabelValue": str(label)}.items():
            image.SetMetaData(f"Segment{at}_{key}", value)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("cell", ["GTV L\u00e4sion", "gtv*", "2"])
def test_a_segment_of_3d_slicer_is_chosen_by_its_name(tmp_path, cell):
    """Slicer numbers segments as they were made, and a map was said to know no names."""
    file = tmp_path / "Segmentation.seg.nrrd"
    write_segments(file, np.where(MASK, 2, label_map()), {"Parotid": 1, "GTV L\u00e4sion": 2})
    found = read_mask(MaskCell(file, cell, {}, "S"), {}, "")
    expected = np.where(MASK, 2, label_map()) == 2
    np.testing.assert_array_equal(found.volume.data, expected)
    assert found.told == ()


def test_segments_of_3d_slicer_that_fit_a_pattern_are_lesion_together(tmp_path):
    file = tmp_path / "Segmentation.seg.nrrd"
    write_segments(file, label_map(), {"GTVn": 3, "Parotid": 2, "GTVp": 1})
    found = read_mask(MaskCell(file, "GTV*", {}, "S"), {}, "")
    np.testing.assert_array_equal(found.volume.data, np.isin(label_map(), (1, 3)))
    assert found.told == ("segments that are lesion together: 2",)


def test_a_segment_that_3d_slicer_does_not_name_is_refused_without_the_names_of_the_others(tmp_path):
    write_segments(tmp_path / "a.seg.nrrd", label_map(), {"Doe": 1, "GTVp": 3})
    with pytest.raises(InputError, match="no such region") as caught:
        read_mask(MaskCell(tmp_path / "a.seg.nrrd", "CTV", {}, "S"), {}, "")
    assert "Doe" not in str(caught.value) and caught.value.found == "2 regions of other names"
