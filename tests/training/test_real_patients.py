"""A study of the real cohort in which some patients come as DICOM and the others as NIfTI, and one of a phantom."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scans import prepare, save, sts
from stores import study_of
from trained_runs import train_to_tables

import hnscc
from hnscc.study.run_folder import RunFolder
from hnscc.training.ready import make_run_ready

DICOM = ("STS_008", "STS_009", "STS_025")
FOLDS = 2


def both_kinds(folder: Path, others: int) -> Path:
    """A manifest of the patients in DICOM, and of as many `others` as NIfTI."""
    real = sts()
    with (real / "manifest.csv").open() as file:
        header, *nifti = csv.reader(file)
    rows = [[*header, "roi"]]
    for patient in DICOM:
        own = real / "dicom" / patient
        files = own / "PET" / "image", own / "MR_T1" / "image", own / "MR_T1" / "mask"
        rows.append([patient, patient, *map(str, files), "GTV_Mass_MR_T1"])
    left = [row for row in nifti if row[0] not in DICOM][:others]
    rows += [[*row[:2], *(str(real / cell) for cell in row[2:]), ""] for row in left]
    return save(folder, rows)


def trained(folder: Path, store: Path) -> RunFolder:
    """One variant, one repeat, one epoch in each of two folds, in this process."""
    study = study_of(
        store,
        repeats=1,
        split={"folds": FOLDS, "validation": 0.34},
        variants={"pet_mri": {"modalities": ["pet", "mri"]}},
        training={"epochs": 1, "patience": 1},
    )
    return train_to_tables(make_run_ready(study, folder / "run"))


@pytest.mark.slow
def test_a_study_of_dicom_and_nifti_patients_runs_to_its_tables(tmp_path):
    """Every patient is tested once, and what the table of patients counts adds up to the pooled scores."""
    store = prepare(both_kinds(tmp_path, 9), tmp_path / "s.zarr", size=64, pixel_mm=3.4, workers=1)
    assert [s.scan_id for s in store.scans if s.placement["lesion"]["orientation"] == "DICOM"] == list(DICOM)
    tables = trained(tmp_path, tmp_path / "s.zarr").tables
    trials = pq.read_table(tables / "trials.parquet").to_pylist()
    assert [(row["status"], row["epochs"]) for row in trials] == [("completed", 1)] * FOLDS
    assert set(DICOM) < added_up(tables, 12)


@pytest.mark.slow
def test_what_is_counted_of_a_phantoms_patients_adds_up_too(tmp_path):
    hnscc.phantom(tmp_path / "phantom", patients=16)
    prepare(tmp_path / "phantom" / "manifest.csv", tmp_path / "s.zarr", size=32, workers=1)
    assert len(added_up(trained(tmp_path, tmp_path / "s.zarr").tables, 16)) == 16


def added_up(tables: Path, number: int) -> set[str]:
    """Every patient is tested once, and what the table of patients counts adds up to the pooled scores; their names."""
    rows = [row for row in pq.read_table(tables / "patients.parquet").to_pylist() if row["split"] == "test"]
    at_half = [row for row in rows if row["threshold"] == 0.5]
    chosen = [row for row in rows if row["threshold"] == chosen_in(rows, row["fold"])]
    tested = set()
    for counted in (at_half, chosen):
        patients = [row["patient_id"] for row in counted]
        tested.add(frozenset(patients))
        assert len(patients) == len(set(patients)) == number
    (pooled,) = [r for r in pq.read_table(tables / "pooled.parquet").to_pylist() if r["split"] == "test"]
    assert (pooled["patients"], pooled["failed"], pooled["missing"]) == (number, 0, 0)
    assert (pooled["dice"], pooled["jaccard"]) == pytest.approx(summed(chosen), rel=1e-12)
    assert (pooled["dice_at_half"], pooled["jaccard_at_half"]) == pytest.approx(summed(at_half), rel=1e-12)
    assert pooled["dice"] > 0
    (names,) = tested  # the same at both thresholds
    return set(names)


def chosen_in(rows: list[dict], fold: int) -> float:
    """The threshold of a fold's median model, which stands in the table beside 0.5."""
    found = {row["threshold"] for row in rows if row["fold"] == fold}
    (threshold,) = found - {0.5} or found
    return threshold


def summed(rows: list[dict]) -> tuple[float, float]:
    """Dice and Jaccard of the pixels of all rows together."""
    overlap, pred, truth = (sum(row[name] for row in rows) for name in ("overlap_px", "pred_px", "truth_px"))
    return 2 * overlap / (pred + truth), overlap / (pred + truth - overlap)
