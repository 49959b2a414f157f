"""Whose files of DICOM are by their own headers, against the manifest."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import classic_series, write
from dicom_masks import box, contour, structures
from pydicom import dcmread
from scans import prepare, refused, save
from stores import scan

from data_prep.manifest.manifest import Row
from data_prep.oddities.whose import odd_whose
from data_prep.volumes.volume import Whose
from hnscc.cohort.store import Store

SHAPE = (16, 16, 6)
IDS = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")


def image(folder: Path, seed: int, patient: str, study: str, frame: str) -> None:
    values = np.random.default_rng(seed).integers(0, 1000, SHAPE).astype(np.uint16)
    made = classic_series(values, origin=(0, 0, 0), pixel=(1, 1), SeriesInstanceUID=f"1.2.3.{seed}")
    for each in made:
        each.PatientID, each.StudyInstanceUID, each.FrameOfReferenceUID = patient, study, frame
    write(folder, made)


def cohort(folder: Path, *changes: dict[str, str]) -> Path:
    """Patients P0, P1, ..., one scan each with PET (a series of MR, which needs no SUV) and MRI in one study and frame.

    changes: for each patient what another header says than its own: PatientID, StudyInstanceUID, FrameOfReferenceUID;
    "pet": the PET's PatientID alone; "mask": that of its structure set.
    """
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for at, change in enumerate(changes):
        own = dict(zip(IDS, (f"Doe^{at}", f"1.2.4.{at}", f"1.2.5.{at}"), strict=True)) | {
            name: value for name, value in change.items() if name in IDS
        }
        patient, study, frame = (own[name] for name in IDS)
        image(folder / f"{at}" / "mri", 2 * at, patient, study, frame)
        image(folder / f"{at}" / "pet", 2 * at + 1, change.get("pet", patient), study, frame)
        drawn = [contour(box(3 + at, 4, 6, 7, z)) for z in (2, 3)]
        path = structures(folder / f"{at}" / "rt" / "RS.dcm", {"GTV": drawn}, frame, f"1.2.3.{2 * at}")
        data = dcmread(path)
        data.PatientID, data.StudyInstanceUID = change.get("mask", patient), study
        data.save_as(path)
        rows.append([f"P{at}", f"S{at}", *(f"{at}/{name}" for name in ("pet", "mri", "rt"))])
    return save(folder, rows)


def prepared(folder: Path, *changes: dict[str, str]) -> Store:
    manifest = cohort(folder, *changes)
    return prepare(manifest, folder / "s.zarr", size=16, workers=1, accept_odd="test")


def told(store: Store) -> list[tuple[str | None, str]]:
    """What is said of ids in DICOM; nothing of a store's texts holds one."""
    kept = repr([dict(store.placed), [scan.placement for scan in store.scans]])
    assert not any(each in kept for each in ("Doe", "1.2.4.", "1.2.5.", "ANON", "Roe"))
    return [(each["scan_id"], each["text"]) for each in store.placed["odd"] if "in DICOM" in each["text"]]


def test_headers_that_agree_with_the_manifest_say_nothing(tmp_path):
    assert told(prepared(tmp_path, {}, {}, {})) == []


@pytest.mark.parametrize("file", ["pet", "mask"])
def test_files_of_one_row_that_bear_different_patient_ids_are_told(tmp_path, file):
    store = prepared(tmp_path, {}, {file: "Roe"}, {})
    assert told(store) == [
        ("S1", "files bear different patient ids in DICOM: are all of them of one patient?")
    ]


def test_no_id_in_a_header_says_nothing(tmp_path):
    nothing = dict.fromkeys(IDS[:1], "") | {"StudyInstanceUID": "1.2.4.9"}
    assert told(prepared(tmp_path, nothing, nothing, {"pet": ""})) == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("shared", [("StudyInstanceUID", "1.2.4.9"), ("FrameOfReferenceUID", "1.2.5.9")])
def test_one_patient_and_study_or_frame_under_two_ids_is_refused(tmp_path, shared):
    one = {"PatientID": "Doe^9", shared[0]: shared[1]}
    kind = {"StudyInstanceUID": "study", "FrameOfReferenceUID": "frame of reference"}[shared[0]]
    text = refused(cohort(tmp_path, one, {}, one, {}), f"one patient id and one {kind} in DICOM")
    assert "2 scans (S0, S2) of 2 patients" in text and "accept-odd" in text
    assert "Doe" not in text and "1.2.4" not in text and "1.2.5" not in text
    ((_, sentence),) = told(prepared(tmp_path / "accepted", one, {}, one, {}))
    assert sentence.startswith("2 scans (S0, S2) of 2 patients bear one patient id and one")


def of_headers(*patients: str | Whose, study: str = "", frame: str = "") -> list[tuple[str, bool]]:
    """What is said of the manifest's patients with one file each, by the ids in its header, and if it is refused."""
    rows = [Row(2 + at, f"P{at}", f"S{at}", {"mri": Path("s")}, None, None) for at in range(len(patients))]
    files = [{"mri": each if isinstance(each, Whose) else Whose(each, study, frame)} for each in patients]
    return [
        (odd.text, odd.refused)
        for odd in odd_whose(rows, [scan(each.patient_id, ()) for each in rows], files)
    ]


def test_what_two_share_is_told_once_and_by_the_surest_of_it():
    both = "2 scans (S0, S2) of 2 patients bear one patient id and one {} in DICOM: are they one patient?"
    four = ("a", "b", "a", "c")
    assert of_headers(*four, study="s", frame="f") == [(both.format("study"), True)]
    assert of_headers(*four, frame="f") == [(both.format("frame of reference"), True)]
    alone = "2 scans (S0, S2) of 2 patients bear one patient id in DICOM: are they one patient?"
    assert of_headers(*four) == [(alone, False)], "an id that is absent is none that is shared"
    assert of_headers("", "", "b", "c", study="s", frame="f") == []
    # A third who shares the id alone is told with them.
    three = of_headers(Whose("a", "s"), "b", Whose("a", "s"), "c", Whose("a", "t"), "d")
    assert three == [
        (both.format("study"), True),
        (f"3 scans (S0, S2, S4) of 3{alone.partition(' of 2')[2]}", False),
    ]


def test_an_id_that_three_of_five_patients_bear_is_an_anonymisers():
    """Of six it is told, and of two, where one may stand twice. Those without an id are not counted."""
    assert of_headers("a", "a", "a", "b", "c") == of_headers("a", "a", "a", "b", "c", "", "") == []
    assert len(of_headers("a", "a", "a", "b", "c", "d")) == len(of_headers("a", "a")) == 1
    assert of_headers("a", "a", "a") == []
    for patients, refused_ in (("aaabc", False), ("aaabcd", True), ("aa", True)):
        ((_, found),) = of_headers(*patients, study="s")
        assert found == refused_


def test_one_patient_id_alone_is_told_unless_most_bear_it(tmp_path):
    one = {"PatientID": "ANON"}
    ((scan, text),) = told(prepared(tmp_path / "few", one, {}, one, {}))
    assert scan is None and text.startswith("2 scans (S0, S2) of 2 patients bear one patient id in DICOM")
    assert told(prepared(tmp_path / "most", one, one, one, {})) == []


def test_dummies_in_most_headers_are_told_and_not_refused(tmp_path):
    dummies = dict(zip(IDS, ("ANON", "1.2.4.9", "1.2.5.9"), strict=True))
    store = prepared(tmp_path, dummies, dummies, dummies)
    assert [text for _, text in told(store)] == [
        "3 scans (S0, S1, S2) of 3 patients bear one patient id and one study in DICOM: are they one patient?"
    ]
