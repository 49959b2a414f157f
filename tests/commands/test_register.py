"""`--register rigid` as its users meet it: what prepare prints and shows, what predict does with a new scan."""

import json
import shutil

import numpy as np
import pytest
from moved import BODY, body_scan, off_by
from scans import save

import hnscc as package
from hnscc.base.files import read_sealed, write_sealed
from hnscc.cohort.store_format import PAGE
from hnscc.study.run_folder import RunFolder

MIDDLE = (BODY @ [19.5, 19.5, 6.5, 1])[:3]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two scans without lesion, their PET moved; the manifest, and the motions."""
    folder = tmp_path_factory.mktemp("moved")
    known = {f"S{seed}": body_scan(folder / f"S{seed}", seed, name) for seed, name in enumerate(("x", "z"))}
    rows = [[f"P{scan}", scan, f"{scan}/pet.nii.gz", f"{scan}/mri.nii.gz", "none"] for scan in known]
    return save(folder, [["patient_id", "scan_id", "pet", "mri", "mask"], *rows]), known


def close(facts, known):
    """Whether a registration found the motion of these small bodies (how well is asked in test_registering)."""
    mm, degrees = off_by(np.array(facts["motion"]), known, MIDDLE)
    return mm < 2 and degrees < 3


OPTIONS = ("--size", "64", "--workers", "1", "--reference", "mri", "--accept-odd", "made up")


@pytest.mark.slow
def test_prepare_tells_how_every_modality_was_registered(hnscc, cohort, tmp_path):
    manifest, known = cohort
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", "--register", "rigid", *OPTIONS)
    out = " ".join(out.split())
    assert code == 0 and all(f"{scan}: pet was registered to mri: moved by 1" in out for scan in known)
    page = (tmp_path / "s.zarr" / PAGE).read_text()
    assert page.count(">pet on mri, before<") == 2 and page.count("pet was registered to mri") == 2
    assert "mutual information before" in page and ".nii" not in page
    code, out, _ = hnscc("prepare", manifest, tmp_path / "j.zarr", "--register", "rigid", "--json", *OPTIONS)
    scans = json.loads(out)["cohort"]
    assert all(close(each["registered"]["pet"], known[each["scan_id"]]) for each in scans)
    assert package.verify(tmp_path / "s.zarr").digest == package.verify(tmp_path / "j.zarr").digest


def test_without_it_nothing_is_registered_and_an_unknown_way_is_refused(hnscc, cohort, tmp_path):
    manifest, _ = cohort
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", *OPTIONS)
    page = (tmp_path / "s.zarr" / PAGE).read_text()
    assert code == 0 and "registered" not in out and "egistr" not in page and ", before" not in page
    code, _, error = hnscc("prepare", manifest, tmp_path / "a.zarr", "--register", "affine", *OPTIONS)
    assert code == 2 and "--register is unknown" in error and "rigid" in error
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.slow
def test_predict_registers_new_scans_where_the_study_did(trained, cohort, tmp_path):
    """The study's placing asks for it, and the new scans' MRI is laid on their PET, the study's reference."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    for fold in (0, 1):
        split = read_sealed(run.fold(fold).split)
        split["placing"]["register"] = "rigid"
        write_sealed(run.fold(fold).split, split)
    manifest, known = cohort
    found = package.predict(run.root, manifest, tmp_path / "out", variant="pet_mri").facts
    assert found["placing"]["register"] == "rigid"
    for scan in found["scans"]:
        facts = scan["registered"]["mri"]
        assert facts["to"] == "pet" and close(facts, np.linalg.inv(known[scan["scan_id"]]))
        assert any(each.startswith("mri was registered to pet") for each in scan["told"])
    plain = package.predict(trained.root, manifest, tmp_path / "plain", variant="pet_mri").facts
    assert all(scan["registered"] == {} for scan in plain["scans"])
