"""New PET becomes SUV of the kind that the study was prepared with, also where not all of its files are DICOM."""

import numpy as np
import pytest
from dicom_files import classic_series, pet_attributes
from dicom_files import write as write_series
from scans import prepare, save, write

from data_prep.new_scans import list_scans, place_new
from hnscc.cohort.store_format import Placing


@pytest.mark.parametrize("suv, unit", [("lbm", "SUV (lean body mass)"), ("bw", "SUV")])
def test_a_store_of_dicom_and_nifti_keeps_how_pet_became_suv(tmp_path, suv, unit):
    rng = np.random.default_rng(0)
    stored, other = (rng.integers(100, 20000, (32, 32, 4)).astype(np.int16) for _ in range(2))
    of_patient = pet_attributes() | {"PatientSize": 1.75, "PatientSex": "F"}
    write_series(tmp_path / "dicom", classic_series(stored, modality="PT", **of_patient))
    write(tmp_path / "pet.nii.gz", other.astype(np.float32) / 5000, np.diag([-2.0, -2.0, 3.0, 1.0]))
    header = ["patient_id", "scan_id", "pet", "mask"]
    manifest = save(tmp_path, [header, ["A", "a", "dicom", "none"], ["B", "b", "pet.nii.gz", "none"]])
    placing = prepare(manifest, tmp_path / "store", size=32, workers=1, suv=suv, accept_odd="made up").placing
    assert placing["suv"] == suv and placing["units"] == {}
    row, _ = list_scans(manifest, ["pet"])
    assert place_new(row, ["pet"], Placing.of_kept(placing)).volumes["pet"].unit == unit
