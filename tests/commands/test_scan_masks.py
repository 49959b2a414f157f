"""Of masks in DICOM `hnscc scan` takes one by what its regions are called, and says so; organs are none."""

import csv

import dicom_files as made
import numpy as np
import pytest
from commands import refused
from dicom_masks import contour, items, structures
from pydicom import dcmread


def exported(folder, *patients):
    """Of each patient an MR series and structure sets, each of these regions."""
    for number, sets in enumerate(patients, start=1):
        ids = {"PatientID": f"SECRET{number}", "StudyInstanceUID": f"1.2.826.0.{number}"}
        ids["FrameOfReferenceUID"] = f"1.2.826.0.{number}.9"
        values = np.full((8, 8, 4), number, np.int16)
        series = made.classic_series(values, SeriesInstanceUID=f"1.2.826.0.{number}.1", **ids)
        made.write(folder / f"SECRET{number}", series, name="MR")
        for at, regions in enumerate(sets):
            drawn = {name: [contour([0, 0, 0, 4, 0, 0, 4, 4, 0])] for name in regions}
            path = structures(folder / f"SECRET{number}" / f"RS{at}", drawn, ids["FrameOfReferenceUID"])
            written = dcmread(path)
            written.PatientID, written.StudyInstanceUID = ids["PatientID"], ids["StudyInstanceUID"]
            written.SeriesInstanceUID = f"1.2.826.0.{number}.{at + 2}"
            written.save_as(path)
    return folder


def scanned(hnscc, tmp_path, patients, *options):
    """The cells of mask and roi of each scan of these patients, and what was printed."""
    manifest = tmp_path / "manifest.csv"
    code, out, error = hnscc("scan", exported(tmp_path / "in", *patients), "--manifest", manifest, *options)
    assert code == 0, error
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    return [(row["mask"].rpartition("/")[2], row["roi"]) for row in rows], " ".join(out.split())


@pytest.mark.parametrize(
    ("sets", "taken"),
    [
        ([["Bladder"], ["GTV_Mass"]], ("RS1", "GTV_Mass")),  # B stands before G
        ([["Bladder"], ["Muscle"]], ("RS1", "Muscle")),
        ([["Muscle"], ["Tumour bed"]], ("RS1", "Tumour bed")),
        ([["Parotid_L", "SpinalCord"], ["lesion in the lung"]], ("RS1", "lesion in the lung")),
        ([["Head and neck"]], ("RS0", "Head and neck")),
        ([["PTV_70"], ["SCC_Larynx"]], ("RS0", "PTV_70")),  # either may be meant, and the choice is told
        ([["SCC_Larynx"]], ("RS0", "SCC_Larynx")),
        ([["Lung met"], ["Lung_L"]], ("RS0", "Lung met")),
        ([["Bladder"]], ("FILL-IN", "")),
        ([["Bladder"], ["Left Kidney"]], ("FILL-IN", "")),
        ([["Bladder", "GTV"]], ("RS0", "")),  # the user says which of the two
    ],
)
def test_masks_of_organs_are_no_lesions(hnscc, tmp_path, sets, taken):
    rows, out = scanned(hnscc, tmp_path, [sets])
    assert rows == [taken]
    organs = ("bladder, kidney" if ["Left Kidney"] in sets else "bladder") if taken[0] == "FILL-IN" else None
    why = f"p001_1: a mask was left out, since its name says {organs}, which is no lesion; its cell says FILL-IN"
    assert (why in out) == (organs is not None)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ([["Bladder"], ["GTV_Mass"]], "1 mask of organs (bladder) left out"),
        (
            [["Parotid_L", "SpinalCord"], ["Left Kidney"], ["GTV"]],
            "2 masks of organs (cord, kidney, parotid) left out",
        ),
        ([["Muscle"], ["Tumour bed"]], "was taken, not #"),
        ([["PTV_70"], ["SCC_Larynx"]], "was taken, not #"),
        ([["GTV"]], None),
    ],
)
def test_a_mask_that_was_not_taken_is_told(hnscc, tmp_path, sets, told):
    out = scanned(hnscc, tmp_path, [sets])[1]
    assert ("look at p001_1: " in out) == (told is not None) and (told or "") in out


def test_of_several_that_may_be_the_lesion_the_one_taken_is_told(hnscc, tmp_path):
    """The region that most scans have; no region's name is told, which may be that of a patient."""
    patients = [[["GTV_A"], ["GTV_SECRET"]], [["GTV_SECRET"]]]
    rows, out = scanned(hnscc, tmp_path, patients)
    assert rows == [("RS1", "GTV_SECRET"), ("RS0", "GTV_SECRET")]
    (told,) = [part for part in out.partition("look at ")[2].split("look at ") if part.startswith("p001_1")]
    assert told.startswith("p001_1: of 2 masks, a file of #") and "was taken, not #" in told
    row = next(line for line in out.split("│ p0") if "structure set" in line)
    assert row.split("│")[4].strip() == "", "contours are no slices"
    assert "look at their regions" in out and "SECRET" not in told.partition(" wrote ")[0]


def test_the_name_of_a_region_says_which_is_preferred(hnscc, tmp_path):
    patients = [[["GTV_MR"], ["GTV_PET"]], [["Bladder"], ["GTV_MR"]], [["Bladder"]]]
    rows, _ = scanned(hnscc, tmp_path, patients, "--prefer", "gtv_p*", "--prefer", "bladder")
    assert rows == [("RS1", "GTV_PET"), ("RS0", "Bladder"), ("RS0", "Bladder")], (
        "an organ, too, if the user says so"
    )
    found = hnscc("scan", tmp_path / "in", "--manifest", tmp_path / "no.csv", "--prefer", "*SECRET*")
    error = refused(found)
    assert "1 pattern and 5 names, and none fits" in error and "SECRET" not in error


@pytest.mark.parametrize(
    "drawn_on, kinds, taken",
    [
        (None, {"many": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}, "many"),
        ("few", {}, "few"),
        ("many", {}, "many"),
        (None, {}, "many"),
        (None, {"many": ["DERIVED", "SECONDARY", "MPR"]}, "few"),
        ("many", {"many": ["DERIVED", "SECONDARY", "MPR"]}, "many"),
        ("elsewhere", {}, "many"),
    ],
)
@pytest.mark.parametrize("write", ["structures", "segmentation"])
def test_of_several_series_that_of_the_mask_is_taken_then_one_not_derived(
    hnscc, tmp_path, drawn_on, kinds, taken, write
):
    """The one with the most slices was, such as a reformatted one, or T2 in one patient and T1 in another."""
    ids = {"PatientID": "SECRET", "StudyInstanceUID": "1.2.826.0.1", "FrameOfReferenceUID": "1.2.826.0.1.9"}
    uids = {"few": "1.2.826.0.1.2", "many": "1.2.826.0.1.3", "elsewhere": "1.2.826.0.1.4"}
    for name, slices in {"few": 4, "many": 6}.items():
        values = np.full((8, 8, slices), 7, np.int16)
        kind = kinds.get(name, ["ORIGINAL", "PRIMARY"])
        series = made.classic_series(values, SeriesInstanceUID=uids[name], ImageType=kind, **ids)
        made.write(tmp_path / "in" / name, series, name="MR")
    if drawn_on:
        file = structures(
            tmp_path / "in" / "M.dcm",
            {"GTV": [contour([0, 0, 0, 4, 0, 0, 4, 4, 0])]},
            ids["FrameOfReferenceUID"],
            uids[drawn_on],
        )
        mask = dcmread(file)
        mask.PatientID, mask.StudyInstanceUID = ids["PatientID"], ids["StudyInstanceUID"]
        if write == "segmentation":
            mask.SOPClassUID = made.STORAGE + "66.4"
            mask.SegmentSequence = items({"SegmentNumber": 1, "SegmentLabel": "GTV"})
            mask.ReferencedSeriesSequence = items({"SeriesInstanceUID": uids[drawn_on]})
            del mask.ReferencedFrameOfReferenceSequence, mask.StructureSetROISequence
        mask.save_as(file)
    code, out, error = hnscc("scan", tmp_path / "in", "--manifest", tmp_path / "m.csv")
    assert code == 0, error
    (row,) = csv.DictReader((tmp_path / "m.csv").read_text().splitlines())
    assert row["mri"].partition("#")[0] == f"in/{taken}" and "look at p001_1: of 2 series of MR" in out


@pytest.mark.parametrize(("slices", "taken"), [(14, "volume"), (15, "scout")])
def test_a_scout_of_original_slices_is_not_taken_in_the_place_of_a_derived_volume(
    hnscc, tmp_path, slices, taken
):
    """Archives that convert images mark them as derived; a scout beside them bears its scanner's word."""
    for number, (name, count) in enumerate({"scout": slices, "volume": 20}.items()):
        kind = ["ORIGINAL" if name == "scout" else "DERIVED", "PRIMARY" if name == "scout" else "SECONDARY"]
        uids = {"SeriesInstanceUID": f"1.2.826.0.1.{number + 2}", "StudyInstanceUID": "1.2.826.0.1"}
        values = np.full((8, 8, count), 7, np.int16)
        made.write(tmp_path / "in" / name, made.classic_series(values, ImageType=kind, **uids), name="MR")
    code, _, error = hnscc("scan", tmp_path / "in", "--manifest", tmp_path / "m.csv")
    assert code == 0, error
    (row,) = csv.DictReader((tmp_path / "m.csv").read_text().splitlines())
    assert row["mri"].partition("#")[0] == f"in/{taken}"
