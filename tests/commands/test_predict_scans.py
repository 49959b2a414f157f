"""`hnscc predict` without a manifest: the files of one scan, or folders of DICOM, are the rows that would name them."""

import csv
import json
import shutil

import dicom_files as made
import numpy as np
import pytest
from commands import refused
from dicom_masks import box, contour, structures
from pydicom import dcmread
from scans import save
from trained_runs import UPRIGHT, scan_of, write_scans

import hnscc
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.run_folder import RunFolder

DATED = ".seg.dcm"  # bears the time of its writing, and UIDs of its own


def content(folder):
    """The files of a prediction but dated ones, and what is said of all scans: made-up ids are told there."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(DATED)}
    facts = json.loads(files.pop("predictions.json"))
    return files | {"predictions.json": json.dumps(facts | {"told": None}).encode()}


def patient(folder, number, modalities=("PT", "MR"), regions=()):
    """Series of one scan of a patient in DICOM, all in one folder, and a structure set of these regions."""
    volumes = scan_of(number)
    ids = {
        "PatientID": f"SECRET{number}",
        "StudyInstanceUID": f"1.2.826.0.{number}",
        "FrameOfReferenceUID": f"1.2.826.0.{number}.9",
    }
    for at, modality in enumerate(modalities):
        values = np.clip(np.rint(volumes["pet" if modality == "PT" else "mri"] * 100), 0, 60000)
        attributes = {**ids, "SeriesInstanceUID": f"1.2.826.0.{number}.{at + 1}"}
        if modality == "PT":
            attributes = made.pet_attributes(**attributes)
        series = made.classic_series(
            values.astype(np.uint16)[:, :, : 4 - at // 2],
            modality=modality,
            pixel=(1, 1),
            origin=(0, 0, 0),
            slopes=[0.01] * 4,
            **attributes,
        )
        made.write(folder, series, name=f"{modality}{at}")
    if regions:
        drawn = {name: [contour(box(4, 4, 5, 4, z)) for z in (1, 2)] for name in regions}
        path = structures(folder / "RS", drawn, ids["FrameOfReferenceUID"], f"1.2.826.0.{number}.1")
        written = dcmread(path)
        written.PatientID, written.StudyInstanceUID = ids["PatientID"], ids["StudyInstanceUID"]
        written.save_as(path)
    return folder


def test_the_files_of_one_scan_are_a_row_of_a_manifest(hnscc, trained, tmp_path):
    folder = write_scans(tmp_path / "new", {"SECRET": scan_of(1)}, UPRIGHT).parent
    cells = {name: folder / "SECRET" / f"{name}.nii.gz" for name in ("pet", "mri", "mask")}
    rows = [["patient_id", "scan_id", *cells], ["patient-1", "scan-1", *map(str, cells.values())]]
    asked = ("--variant", "pet_mri", "--probabilities")
    assert hnscc("predict", trained.root, save(tmp_path, rows), "--out", tmp_path / "listed", *asked)[0] == 0
    named = [f"{name}={file}" for name, file in cells.items()]
    code, out, _ = hnscc("predict", trained.root, *named, "--out", tmp_path / "named", *asked)
    assert code == 0 and "SECRET" not in out
    assert content(tmp_path / "named") == content(tmp_path / "listed")
    assert {"scan-1.nii.gz", "scan-1_probability.nii.gz", "scores.csv"} <= content(tmp_path / "named").keys()


def test_folders_of_dicom_are_the_rows_that_scan_writes(hnscc, trained, tmp_path):
    """One with contours, one without; given as their folder, and each by itself in another order."""
    one = patient(tmp_path / "exports" / "SECRET_1", 1, regions=["GTV"])
    two = patient(tmp_path / "exports" / "SECRET_2", 2)
    manifest = tmp_path / "manifest.csv"
    assert hnscc("scan", tmp_path / "exports", "--manifest", manifest)[0] == 0
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    assert [(row["scan_id"], row["mask"] == "FILL-IN") for row in rows] == [
        ("p001_1", False),
        ("p002_1", True),
    ]
    for name, scans in {
        "listed": [manifest],
        "whole": [tmp_path / "exports"],
        "apart": [two, one, one],
    }.items():
        code, out, error = hnscc(
            "predict", trained.root, *scans, "--variant", "pet_mri", "--out", tmp_path / name
        )
        assert code == 0 and "SECRET" not in out + error, error
    listed = content(tmp_path / "listed")
    assert content(tmp_path / "whole") == listed and content(tmp_path / "apart") == listed
    assert (tmp_path / "whole" / f"p002_1{DATED}").exists()
    (scored,) = csv.DictReader((tmp_path / "whole" / "scores.csv").read_text().splitlines())
    assert (scored["scan_id"], scored["patient_id"]) == ("p001_1", "p001")
    assert not [path for path, text in listed.items() if b"SECRET" in text]


def test_pseudonyms_that_scan_kept_name_the_patients_of_folders(hnscc, trained, tmp_path):
    """The study's cohort has p001: a new patient is another one, in whatever folders, and the table says who it is."""
    kept = tmp_path / "kept.csv"
    patient(tmp_path / "cohort" / "a", 1)
    assert hnscc("scan", tmp_path / "cohort", "--pseudonyms", kept)[0] == 0
    folders = [patient(tmp_path / "new" / str(at), at) for at in (3, 2)]
    asked = ("--variant", "pet_mri", "--pseudonyms", kept)
    code, out, error = hnscc("predict", trained.root, *folders, "--out", tmp_path / "masks", *asked)
    assert code == 0 and "SECRET" not in out + error, error
    facts = (tmp_path / "masks" / "predictions.json").read_text()
    assert [scan["patient_id"] for scan in json.loads(facts)["scans"]] == ["p002", "p003"]
    rows = list(csv.reader(kept.read_text().splitlines()))
    assert rows[1:] == [["p001", "SECRET1"], ["p002", "SECRET2"], ["p003", "SECRET3"]]
    assert kept.stat().st_mode & 0o077 == 0
    assert "SECRET" not in facts and kept.name not in facts
    files = [f"{name}={folders[0]}" for name in ("pet", "mri")]
    for scans in ([write_scans(tmp_path / "listed", {"p9": scan_of(1)}, UPRIGHT)], files):
        error = refused(hnscc("predict", trained.root, *scans, "--out", tmp_path / "no", *asked))
        assert "--pseudonyms" in error and "folders of scans" in error and "SECRET" not in error
    within = (*asked[:-1], tmp_path / "o" / "kept.csv")
    error = refused(hnscc("predict", trained.root, *folders, "--out", tmp_path / "o", *within))
    assert "among the predictions" in error and not (tmp_path / "o").exists()


@pytest.mark.slow
def test_folders_of_nifti_are_the_rows_that_scan_writes(hnscc, trained, tmp_path):
    """Two patients, of whom the second has two masks: neither is taken, and the scan is not scored."""
    folder = write_scans(tmp_path / "new", {f"SECRET{at}": scan_of(at) for at in (1, 2)}, UPRIGHT).parent
    mask = folder / "SECRET2" / "mask.nii.gz"
    shutil.copy(mask, mask.with_name("lesion.nii.gz"))
    manifest = tmp_path / "manifest.csv"
    assert hnscc("scan", folder, "--manifest", manifest)[0] == 0
    for name, scans in {
        "listed": [manifest],
        "whole": [folder],
        "apart": [folder / "SECRET1", folder / "SECRET2"],
    }.items():
        code, out, error = hnscc(
            "predict", trained.root, *scans, "--variant", "pet_mri", "--out", tmp_path / name
        )
        assert code == 0 and "SECRET" not in out + error, error
    names = {"p001_1.nii.gz", "p002_1.nii.gz", "lesions.csv", "scores.csv"}
    listed, whole, apart = (content(tmp_path / name) for name in ("listed", "whole", "apart"))
    assert names <= whole.keys() and whole == apart
    assert {name: listed[name] for name in names} == {name: whole[name] for name in names}
    (scored,) = csv.DictReader((tmp_path / "whole" / "scores.csv").read_text().splitlines())
    assert scored["scan_id"] == "p001_1"
    told = json.loads((tmp_path / "whole" / "predictions.json").read_text())["scans"][1]["told"]
    assert "mask: 2 files may be mask, and none was taken, so it is not scored" in told
    (folder / "SECRET1" / "mri.nii.gz").unlink()
    error = refused(hnscc("predict", trained.root, folder, "--variant", "pet_mri", "--out", tmp_path / "no"))
    assert "scan p001_1, column mri" in error and "SECRET" not in error


def test_what_was_chosen_of_a_folder_is_told(trained, tmp_path):
    """The series of most slices of two; no mask of two regions, which `hnscc scan` leaves to the user."""
    folder = patient(tmp_path / "new", 1, ("PT", "MR", "MR"), ["GTV", "SECRET"])
    found = hnscc.predict(trained.root, folder, tmp_path / "out", variant="pet_mri")
    (scan,) = found.facts["scans"]
    assert scan["dice"] is None and not (tmp_path / "out" / "scores.csv").exists()
    assert "mask: it was left out, and is not scored, since it holds 2 regions" in scan["told"]
    (chosen,) = [line for line in scan["told"] if line.startswith("mri: of 2 series of MR, #")]
    assert "was taken, not #" in chosen and "SECRET" not in json.dumps(found.facts)


def test_an_invented_id_is_none_of_the_studys_patients(trained, tmp_path):
    """A study whose own manifest came from `hnscc scan` has a patient p001 too, who is somebody else."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    split = read_sealed(run.fold(0).split)
    split["patients"]["train"].append("p001")
    write_sealed(run.fold(0).split, split)
    folder, manifest = patient(tmp_path / "new", 1), tmp_path / "manifest.csv"
    hnscc.scan(folder, manifest=manifest)
    for scans, told in ((manifest, True), (folder, False)):
        found = hnscc.predict(run.root, scans, tmp_path / "out", variant="pet_mri", overwrite=True)
        (scan,) = found.facts["scans"]
        assert scan["patient_id"] == "p001"
        assert any("patient p001 is one of the study's" in line for line in scan["told"]) == told


def test_that_nobody_could_check_made_up_ids_is_told_once(hnscc, trained, tmp_path):
    """Of folders and of one scan's files; a manifest's ids are looked for among the study's, and nothing is said."""
    manifest = write_scans(tmp_path / "new", {name: scan_of(at) for at, name in enumerate(("q14", "q15"))})
    files = [f"{name}={manifest.parent / 'q14' / name}.nii.gz" for name in ("pet", "mri")]
    for name, scans in {"folder": [manifest.parent], "files": files, "manifest": [manifest]}.items():
        out = tmp_path / name
        code, text, error = hnscc("predict", trained.root, *scans, "--variant", "pet_mri", "--out", out)
        assert code == 0, error
        told = json.loads((out / "predictions.json").read_text())["told"]
        assert len(told) == (name != "manifest")
        assert text.count("nobody could check whether a scan is of a patient") == len(told)
        assert all("give a manifest" in sentence and sentence in text for sentence in told)


def test_a_patient_whose_id_is_much_like_one_of_the_study_is_told(trained, tmp_path):
    """P-03 and P2005 beside P00 to P11 counted as new patients, though P03 and P05 may have been trained on."""
    manifest = write_scans(tmp_path / "new", {name: scan_of(1) for name in ("p-03", "p2005", "p14")})
    found = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet_mri")
    told = {scan["patient_id"]: " ".join(scan["told"]) for scan in found.facts["scans"]}
    assert "patient P-03 may be the study's P03 (" in told["P-03"] and "P05 (" in told["P2005"]
    assert "the study's" not in told["P14"]


NOT_SCANS = {
    "an image": (["new/a/pet.nii.gz"], "1 argument: a file of one image or mask"),
    "nothing there": (["new/SECRET"], "1 argument: nothing that is there"),
    "two manifests": (["new/manifest.csv"] * 2, "2 arguments: a file that may be a manifest"),
    "a folder and an image": (
        ["new", "new/a/pet.nii.gz"],
        "2 arguments: a file of one image or mask, a folder",
    ),
    "an image with a modality and one without": (
        ["pet=new/a/pet.nii.gz", "new/a/mri.nii.gz"],
        "2 arguments: ",
    ),
    "too long a name": (["SECRET" * 60], "1 argument: "),
}


@pytest.mark.parametrize("scans, found", NOT_SCANS.values(), ids=NOT_SCANS)
def test_what_is_none_of_the_three_is_told_which_they_are(
    hnscc, trained, tmp_path, monkeypatch, scans, found
):
    write_scans(tmp_path / "new", {"a": scan_of(1)})
    monkeypatch.chdir(tmp_path)
    error = refused(hnscc("predict", trained.root, *scans, "--variant", "pet_mri", "--out", "out"))
    assert "one manifest (CSV)" in error and "pet=FILE mri=FILE" in error and "folders of DICOM" in error
    assert found in error and "SECRET" not in error and str(tmp_path) not in error
    assert not (tmp_path / "out").exists()


def test_faults_of_the_files_of_a_scan_are_told_at_once(hnscc, trained, tmp_path):
    folder = write_scans(tmp_path / "new", {"a": scan_of(1)}).parent / "a"
    pet = folder / "pet.nii.gz"

    def said(*named):
        error = refused(
            hnscc("predict", trained.root, *named, "--variant", "pet_mri", "--out", tmp_path / "out")
        )
        assert str(tmp_path) not in error and not (tmp_path / "out").exists() and "manifest row" not in error
        return error

    error = said(f"pet={folder}/none.nii.gz", f"ct={pet}")
    assert "2 faults were found" in error and "scan scan-1, column pet: The file does not exist." in error
    assert "scan scan-1, column mri: A modality is missing." in error and "mri=FILE" in error
    assert "every variant needs mri" not in error
    assert "every variant needs pet, on whose grid the study's slices lie" in said(f"mri={pet}")
    assert "A file is named in two columns." in said(f"pet={pet}", f"mri={pet}")
    error = said(f"pt={pet}", f"SECRET={pet}", f"mri={pet}")
    assert "A name that was given with = is nearly pet." in error and "SECRET" not in error
    assert "A modality is named twice." in said(f"pet={pet}", f"PET={pet}")
    (folder / "bad.nii.gz").write_bytes(b"no volume")
    assert "scan scan-1, column mri" in said(f"pet={pet}", f"mri={folder / 'bad.nii.gz'}")


def test_a_name_that_is_no_column_is_told_and_a_region_without_a_mask_is_refused(trained, tmp_path):
    """`maks=FILE` was left out without a word, and the scan was not scored; and PET was nearly pet, where a manifest's
    columns may be in any capitals."""
    folder = write_scans(tmp_path / "new", {"a": scan_of(1)}).parent / "a"
    files = {name.upper(): str(folder / f"{name}.nii.gz") for name in ("pet", "mri")}
    wrong = {"maks": "SECRET.nii", "SECRET/b": "x"}
    found = hnscc.predict(trained.root, files | wrong, tmp_path / "out", variant="pet_mri").facts["scans"][0]
    told = "2 names given with = are not pet, mri, mask or roi: nothing is read of them; one is nearly mask"
    assert told in found["told"]
    assert "SECRET" not in json.dumps(found)
    with pytest.raises(InputError, match=r"A region is named, and no mask\.[^$]*column roi"):
        hnscc.predict(trained.root, files | {"roi": "3"}, tmp_path / "b", variant="pet_mri")


def test_a_scan_in_dicom_that_lacks_a_modality_is_refused(trained, tmp_path):
    """And what keeps a series from being read is told: this PET has no weight."""
    patient(tmp_path / "new" / "whole", 1)
    series = patient(tmp_path / "new" / "SECRET", 2)
    for path in series.glob("PT*"):
        data = dcmread(path)
        del data.PatientWeight
        data.save_as(path)
    with pytest.raises(InputError) as caught:
        hnscc.predict(trained.root, [tmp_path / "new"], tmp_path / "out", variant="pet_mri")
    assert "every variant needs pet, on whose grid" in caught.value.expected
    assert caught.value.where == "scan p002_1, column pet" and "SECRET" not in str(caught.value)
    assert caught.value.found == "The attribute PatientWeight is missing."
    assert "hnscc scan FOLDER --manifest FILE" in caught.value.do
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no DICOM file"):
        hnscc.predict(trained.root, tmp_path / "empty", tmp_path / "out", variant="pet_mri")
