"""Patient files are found by what they are, and Ray's own packaging leaves them out of what it uploads."""

import json
import logging
import re
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cluster_files import ROOT
from ray._private import ray_constants
from ray._private.runtime_env import packaging
from stores import make_store

from data_prep.files.read import VOLUME_ENDINGS
from data_prep.manifest.made import write_pseudonyms
from hnscc.base.errors import InputError
from rayjobs.doctor import check_working_dir, uploaded
from rayjobs.patient_files import KIND_BY_ENDING, patient_files, refuse_patient_files

pytestmark = pytest.mark.usefixtures("stand_in_project")


def dicom(path: Path) -> None:
    """A DICOM file's preamble, mark and one element: (0010,0010) patient's name, by hand."""
    name = b"Smith^John"
    element = b"\x10\x00\x10\x00PN" + len(name).to_bytes(2, "little") + name
    path.write_bytes(bytes(128) + b"DICM" + element)


def scans(folder: Path) -> dict[str, int]:
    """One of each kind of patient file, some without their usual name; what they count to."""
    folder.mkdir(parents=True)
    volume = np.zeros((4, 4, 4), np.int16)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), folder / "smith.nii.gz")
    nib.save(nib.Nifti1Image(volume, np.eye(4)), folder / "smith.nii")
    shutil.copy(folder / "smith.nii", folder / "no_ending")
    (folder / "SMITH2.NII").write_bytes(b"shouted")
    nib.save(nib.AnalyzeImage(volume, np.eye(4)), folder / "pair.img")  # and pair.hdr
    dicom(folder / "IM0001")
    dicom(folder / "b.dcm")
    (folder / "c.nrrd").write_bytes(b"NRRD0005\n")
    (folder / "d.mha").write_text("ObjectType = Image\n")
    (folder / "manifest.csv").write_text("\ufeffpatient_id,scan_id,mask\np1,p1_a,\n")
    (folder / "german.csv").write_text('Scan;"patient_id"\n1;2\n')
    (folder / "scores.csv").write_text("patients,dice\n3,0.5\n")
    make_store(folder, patients=2)
    return {
        "Analyze file": 2,
        "DICOM file": 2,
        "MetaImage file": 1,
        "NIfTI file": 4,
        "NRRD file": 1,
        "Zarr store": 1,
        "patient list": 2,
    }


def test_patient_files_are_found_by_kind(tmp_path):
    expected = scans(tmp_path / "deep/er")
    assert patient_files(tmp_path) == expected
    (tmp_path / "link").symlink_to(tmp_path / "deep")  # found once
    (tmp_path / "deep/loop").symlink_to(tmp_path)
    assert patient_files(tmp_path) == expected
    assert patient_files(ROOT / "hnscc") == patient_files(ROOT / "rayjobs") == {}
    assert patient_files(ROOT / "studies") == {}


IGNORED = [
    line.removeprefix("*") for line in (ROOT / ".rayignore").read_text().splitlines() if line.startswith("*.")
]


@pytest.mark.parametrize(
    "ending", [each for each in IGNORED if each.lower() not in (".csv", ".tsv", ".zarr")]
)
def test_what_is_not_uploaded_for_its_name_is_known_as_a_patient_file(ending, tmp_path):
    (tmp_path / f"smith{ending}").write_bytes(b"anything")
    assert sum(patient_files(tmp_path).values()) == 1


def test_what_a_job_refuses_for_its_name_is_not_uploaded_first():
    assert {*KIND_BY_ENDING} <= {*IGNORED} and {each.upper() for each in KIND_BY_ENDING} <= {*IGNORED}


@pytest.mark.parametrize("ending", VOLUME_ENDINGS)
def test_files_that_prepare_reads_are_patient_files_and_not_uploaded(ending, tmp_path):
    """A new format of scans is kept off clusters too."""
    (tmp_path / f"smith{ending}").write_bytes(b"anything")
    assert sum(patient_files(tmp_path).values()) == 1
    assert {ending, ending.upper()} <= {*IGNORED}


@pytest.mark.parametrize("ending", [".csv", ".TSV", ".txt"])
@pytest.mark.parametrize(
    "text",
    [
        "patientId;Scan ID;PET;mask\n",
        '\ufeff"Patient ID","scan_id"\n',
        "sep=;\r\nPatient-ID;scan_id\r\n",
        "\n\nPATIENT_ID\tscan_id\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_a_manifest_is_known_however_it_is_written(ending, text, encoding, tmp_path):
    (tmp_path / f"smith{ending}").write_text(text + "p001;p001_a\n", encoding)
    assert patient_files(tmp_path) == {"patient list": 1}


@pytest.mark.parametrize(
    "text",
    ["The patient identifiers, all, were removed.", "Inpatient IDs; none", "A cohort, pseudonymised"],
)
def test_prose_that_tells_of_patients_is_no_list(tmp_path, text):
    (tmp_path / "README.txt").write_text(f"{text}\n")
    assert patient_files(tmp_path) == {}


def test_the_file_of_pseudonyms_is_known(tmp_path):
    write_pseudonyms({"Smith^John": "p001"}, tmp_path / "key.csv")
    assert patient_files(tmp_path) == {"patient list": 1}
    with pytest.raises(InputError, match="1 patient list"):
        refuse_patient_files(tmp_path)


def test_a_store_by_another_name_is_a_store(tmp_path):
    store = Path(make_store(tmp_path, patients=2).location)
    store.rename(tmp_path / "plain")
    assert patient_files(tmp_path) == {"Zarr store": 1}


def test_patient_files_are_refused_without_their_names(tmp_path):
    refuse_patient_files(tmp_path)
    scans(tmp_path / "scans_of_smith")
    with pytest.raises(InputError) as refused:
        refuse_patient_files(tmp_path)
    text = str(refused.value)
    assert "2 DICOM files" in text
    assert "1 Zarr store" in text
    assert "smith" not in text.lower()
    assert str(tmp_path) not in text


def test_what_cannot_be_read_is_not_taken_for_harmless(tmp_path):
    (tmp_path / "smith").symlink_to("/proc/self/mem")  # a file whose start even root cannot read
    with pytest.raises(InputError, match="cannot be read") as refused:
        patient_files(tmp_path)
    assert "smith" not in str(refused.value)


@pytest.fixture
def project(tmp_path):
    """The project's code in a folder of its own, with its .rayignore."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("hnscc", "rayjobs", "data_prep", "studies"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        ".rayignore",
        ".gitignore",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "cluster.yaml",
    ):
        shutil.copy(ROOT / name, root)
    (root / "mine.yaml").write_text("name: mine\n")
    return root


def names(paths, root) -> set[str]:
    return {str(path.relative_to(root)) for path in paths if path.is_file()}


CODE = ("hnscc", "rayjobs", "data_prep", "studies")


def test_ray_uploads_code_and_study_files_alone(project):
    expected = {
        str(path.relative_to(project))
        for top in CODE
        for path in (project / top).rglob("*")
        if path.is_file()
    }
    expected |= {"pyproject.toml", "constraints.txt", "mine.yaml"}
    for folder in ("data/sts", "runs/demo", ".venv/lib", "patients", "scans/p1"):
        scans(project / folder)
    dicom(project / "IM0001")
    for top in (*CODE, "."):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), project / top / "smith.nii.gz")
        make_store(project / top, patients=2)
        (project / top / "manifest.csv").write_text("patient_id,scan_id,mask,pet\n")
        np.savez(project / top / "smith.npz", np.zeros(3))
    assert names(uploaded(project), project) == expected
    archive = project.parent / "package.zip"
    excludes = ray_constants.get_runtime_env_default_excludes()
    packaging.create_package(
        str(project), archive, include_gitignore=True, excludes=excludes, logger=logging.getLogger("test")
    )
    with zipfile.ZipFile(archive) as package:
        assert {name for name in package.namelist() if not name.endswith("/")} == expected


# What patients' images and names lie in, too; none of it is imaging by its ending or its first bytes.
OTHERS = (
    *("dicom.zip", "export.tar.gz", "PATIENTS.XLSX", "report.html", "slice.png"),
    *("vol.h5", "vol.mat", "mask.pt"),
)


def test_of_studies_only_study_files_are_uploaded(project):
    before = names(uploaded(project), project)
    (project / "studies/mine").mkdir()
    for name in (*OTHERS, "roster.tsv", "notes.txt", "w.safetensors", "mine/vol.h5", "IM0001"):
        (project / "studies" / name).write_bytes(b"anything")
    (project / "studies/own.yaml").write_text("name: own\n")
    assert names(uploaded(project), project) == before | {"studies/own.yaml"}


@pytest.mark.parametrize("name", OTHERS)
def test_what_may_hold_patients_is_told_in_a_folder_of_ones_own(name, project):
    with (project / ".rayignore").open("a") as file:
        file.write("!/mine\n!/mine/*\n")  # the folder alone, and its code travels, but none of these
    (project / "mine").mkdir()
    (project / "mine" / name).write_bytes(b"anything")
    assert sum(check_working_dir(project).patient_files.values()) == 1
    with pytest.raises(InputError, match="patient files among the code"):
        refuse_patient_files(project / "mine")


def test_a_clean_folder_may_be_submitted_and_one_with_scans_not(hnscc, project):
    code, out, _ = hnscc("doctor", "--working-dir", project)
    files = names(uploaded(project), project)
    mib = sum((project / name).stat().st_size for name in files) / 2**20
    assert code == 0
    told = re.search(r"(\d+) files, ([\d.]+) MiB", out)
    assert (int(told[1]), float(told[2])) == (len(files), pytest.approx(mib, abs=0.0051))
    dicom(project / "rayjobs/IM0001")  # has no ending that .rayignore could name
    code, out, _ = hnscc("doctor", "--working-dir", project, "--json")
    told = json.loads(out)["working_dir"]
    assert (code, told["patient_files"]) == (2, {"DICOM file": 1})
    assert told["files"] == len(files) + 1
    code, out, _ = hnscc("doctor", "--working-dir", project)
    assert "1 DICOM file would leave this machine" in out
    assert "IM0001" not in out


def test_a_folder_without_rayignore_is_looked_through(hnscc, tmp_path):
    counts = scans(tmp_path / "mine/data")
    (tmp_path / "mine/study.yaml").write_text("name: mine\n")
    assert check_working_dir(tmp_path / "mine").patient_files == counts
    code, _, error = hnscc("doctor", "--working-dir", tmp_path / "absent")
    assert code == 2
    assert "--working-dir" in error


def test_what_is_too_much_for_ray_is_told_before(hnscc, tmp_path):
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(packaging.GCS_STORAGE_MAX_SIZE)
    code, out, _ = hnscc("doctor", "--working-dir", tmp_path)
    assert code == 2
    assert "512.0 MiB are more than Ray takes" in out
