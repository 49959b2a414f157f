"""A scan in another unit of values than the study's is refused, unless a reason is given; an unknown one is told."""

import shutil

import dicom_files as made
import numpy as np
import pytest
from commands import refused
from scans import save
from trained_runs import scan_of, write_scans

import hnscc
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.run_folder import RunFolder


@pytest.fixture(scope="module")
def in_suv(trained, tmp_path_factory):
    """The study, as if its store had been made of PET in SUV and CT in Hounsfield units."""
    run = RunFolder(tmp_path_factory.mktemp("suv") / "run")
    shutil.copytree(trained.root, run.root)
    for fold in (0, 1):
        split = read_sealed(run.fold(fold).split)
        split["placing"]["units"] = {"pet": "SUV", "mri": "HU"}
        write_sealed(run.fold(fold).split, split)
    return run.root


def dicom(folder, pet="PT", mri="CT"):
    """A manifest of one scan whose columns hold series of these modalities."""
    for column, modality in (("pet", pet), ("mri", mri)):
        values = np.clip(np.rint(scan_of(1)[column] * 100), 0, 60000).astype(np.uint16)
        attributes = {"SeriesInstanceUID": f"1.2.826.0.{column == 'pet':d}.7"}
        if modality == "PT":
            attributes = made.pet_attributes(**attributes)
        made.write(
            folder / column,
            made.classic_series(values, modality=modality, pixel=(1, 1), slopes=[0.01] * 4, **attributes),
        )
    return save(folder, [["patient_id", "scan_id", "pet", "mri"], ["A", "a", "pet", "mri"]])


def told(found):
    """What is told of units, apart from what is told of values."""
    (scan,) = found.facts["scans"]
    return [line for line in scan["told"] if "the study" in line and not line.startswith("beside")]


def test_another_unit_is_refused_unless_a_reason_is_given(hnscc, in_suv, tmp_path):
    """The series of two columns changed places."""
    manifest = dicom(tmp_path, pet="CT", mri="PT")
    ask = ("predict", in_suv, manifest, "--variant", "pet_mri", "--out", tmp_path / "out")
    error = refused(hnscc(*ask))
    assert "2 faults were found" in error and str(tmp_path) not in error
    assert "row 2, scan a, column pet: The scan's unit of values is not the study's." in error
    assert "Expected SUV; found HU." in error and "Expected HU; found SUV." in error
    assert "--accept-odd REASON" in error and not (tmp_path / "out").exists()
    assert "A reason is missing" in refused(hnscc(*ask, "--accept-odd", " "))
    code, text, _ = hnscc(*ask, "--accept-odd", "a test of the columns")
    assert code == 0 and "pet: the file is in HU, and those of the study are in SUV" in text
    assert (tmp_path / "out" / "a.nii.gz").exists()
    assert '"accepted": "a test of the columns"' in (tmp_path / "out" / "predictions.json").read_text()


def test_one_unit_needs_no_reason(in_suv, tmp_path):
    found = hnscc.predict(
        in_suv, dicom(tmp_path), tmp_path / "out", variant="pet_mri", accept_odd="not needed"
    )
    assert told(found) == [] and found.facts["accepted"] is None


def test_a_unit_that_only_the_study_knows_is_told(in_suv, tmp_path):
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    found = hnscc.predict(in_suv, manifest, tmp_path / "out", variant="pet")
    assert told(found) == [
        "pet: the study's values are in SUV, and this scan's file does not say its own unit of values"
    ]
    found = hnscc.predict(in_suv, manifest, tmp_path / "suv", variant="pet", pet_is_suv=True)
    assert told(found) == []


def test_a_unit_that_only_the_file_knows_is_told(trained, tmp_path):
    found = hnscc.predict(trained.root, dicom(tmp_path), tmp_path / "out", variant="pet")
    assert told(found) == ["pet: the file is in SUV, and the study's unit of values is not known"]
