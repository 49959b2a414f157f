"""A study's scans on the grids that their masks were drawn on: the same by `hnscc predict`, by SimpleITK on the files,
and whatever version prepared the store."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from scans import prepare, save, write
from stores import study_of
from trained_runs import UPRIGHT, scan_of
from trials import train_trial

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.cohort.store_building import begin_store, finish_store, write_scan
from hnscc.cohort.store_format import ScanFacts
from hnscc.study.trials import trials_of
from hnscc.training.ready import make_run_ready

SPLITS = ["train"] * 4 + ["validation"] * 2 + ["test"] * 3
FINE = "p07"  # its mask is drawn on its PET, whose voxels are a quarter of the MRI's


def write_cohort(folder):
    """The manifest of nine scans of 16 x 16 voxels; every third has no lesion, and p06 no mask."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask", "split"]]
    fine = UPRIGHT @ np.diag([0.5, 0.5, 1.0, 1.0])
    fine[:3, 3] = UPRIGHT[:3, :3] @ [-0.25, -0.25, 0]
    for number, split in enumerate(SPLITS):
        name, volumes = f"p{number:02d}", scan_of(number)
        mask = volumes["mask"].copy()
        mask[:, mask.any(axis=(0, 2)).argmax(), 2] = 0  # an edge that stored pixels do not follow
        own = UPRIGHT
        if name == FINE:
            volumes["pet"], mask = (each.repeat(2, 0).repeat(2, 1) for each in (volumes["pet"], mask))
            mask[np.unravel_index(mask.argmax(), mask.shape)] = 0
            own = fine
        write(folder / name / "pet.nii.gz", volumes["pet"], own)
        write(folder / name / "mri.nii.gz", volumes["mri"])
        write(folder / name / "mask.nii.gz", mask, own)
        files = [f"{name}/{each}.nii.gz" for each in ("pet", "mri", "mask")]
        rows.append([name.upper(), name, *files[:2], "none" if number == 6 else files[2], split])
    return save(folder, rows)


def as_earlier_versions_wrote_it(store):
    """The same store without the masks as drawn, in its place."""
    place = Path(store.location)
    unfinished = begin_store(place, overwrite=True)
    scans = []
    for each in store.scans:
        placement = {name: value for name, value in each.placement.items() if name != "drawn"}
        facts = {name: getattr(each, name) for name in ("scan_id", "patient_id", "source_lesion_px", "split")}
        facts |= {"spacing_mm": each.spacing_mm, "affine": each.affine, "placement": placement}
        scans.append(write_scan(unfinished.folder, *store.read(each.scan_id), ScanFacts(**facts)))
    facts = {"modalities": store.modalities, "size": store.size, "placed": store.placed, "scans": scans}
    return finish_store(unfinished, **facts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One model, trained on the store of an earlier version (before.parquet has the table); then, in the same run
    folder, on the store prepared again, of which the tables are; and the masks that it predicts, in out/."""
    folder = tmp_path_factory.mktemp("drawn")
    manifest = write_cohort(folder)
    settings = {"size": 16, "pixel_mm": 1.3, "reference": "mri", "workers": 1}
    store = as_earlier_versions_wrote_it(prepare(manifest, folder / "s.zarr", **settings))
    variants = {"pet_mri": {"modalities": ["pet", "mri"]}}
    training = {"epochs": 6, "patience": 6, "learning_rate": 0.02}
    study = study_of(store.location, repeats=1, split={}, variants=variants, training=training)
    older = make_run_ready(study, folder / "run")
    (trial,) = trials_of(study)
    list(
        train_trial(
            study, trial, older.folds[0], older.folder.trial(trial.trial_id), device="cpu", precision="fp32"
        )
    )
    write_tables(older.folder)
    pq.write_table(hnscc.tables(folder / "run")["drawn_scans"], folder / "before.parquet")
    prepare(manifest, folder / "s.zarr", **settings, overwrite=True)
    newer = make_run_ready(study, folder / "run")
    assert newer.not_completed() == [], "the trial is the same, and nothing is trained again"
    assert newer.folds[0].digest == older.folds[0].digest
    written = newer.folder.fold(0).split.stat().st_mtime_ns
    make_run_ready(study, folder / "run")
    assert newer.folder.fold(0).split.stat().st_mtime_ns == written, "the fold is as the store says already"
    write_tables(newer.folder)
    hnscc.predict(folder / "run", manifest, folder / "out")
    return folder


@pytest.fixture(scope="module")
def drawn(folder):
    return {row["scan_id"]: row for row in hnscc.tables(folder / "run")["drawn_scans"].to_pylist()}


@pytest.mark.slow
def test_a_study_on_an_older_store_goes_on_and_says_what_it_lacks(folder, drawn):
    before = {row["scan_id"]: row for row in pq.read_table(folder / "before.parquet").to_pylist()}
    assert before.keys() == drawn.keys() == {"p04", "p05", "p06", "p07", "p08"}
    for scan, row in before.items():
        assert "prepare it again" in row["reason"] and row["dice"] is None
        assert (drawn[scan]["reason"], drawn[scan]["dice_stored"]) == (None, row["dice_stored"])
        assert drawn[scan]["dice"] is not None


def test_predict_gives_the_same_scores(folder, drawn):
    with (folder / "out" / "scores.csv").open() as file:
        told = {row["scan_id"]: row for row in csv.DictReader(file)}
    assert drawn.keys() < told.keys()
    for scan, row in drawn.items():
        for name in ("dice", "dice_stored", "dice_of_mask_sent_back"):
            assert float(told[scan][name]) == pytest.approx(row[name], abs=1e-6)
        for name in ("truth_ml", "pred_ml", "overlap_ml"):
            assert float(told[scan][name]) == pytest.approx(row[name], abs=1e-4)


def test_dice_is_simpleitks_on_the_two_files(folder, drawn):
    """The mask that `hnscc predict` writes and the mask as it was drawn. Where that lies on finer voxels, of which each
    is part of one of the prediction's, these are repeated."""
    found = 0
    for scan in ("p04", "p05", "p07", "p08"):
        truth = sitk.ReadImage(folder / scan / "mask.nii.gz", sitk.sitkUInt8)
        pred = sitk.ReadImage(folder / "out" / f"{scan}.nii.gz", sitk.sitkUInt8)
        if scan == FINE:
            pred = sitk.Resample(pred, truth, sitk.Transform(), sitk.sitkNearestNeighbor)
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(truth, pred)
        assert drawn[scan]["dice"] == pytest.approx(overlap.GetDiceCoefficient(), abs=1e-12)
        assert drawn[scan]["jaccard"] == pytest.approx(overlap.GetJaccardCoefficient(), abs=1e-12)
        found += 0 < drawn[scan]["dice"] < 1
        assert drawn[scan]["drawn_on"] == ("pet" if scan == FINE else "mri")
    assert found == 4, "the model finds some of each lesion, so that there is something to compare"
    alarm = sitk.GetArrayFromImage(sitk.ReadImage(folder / "out" / "p06.nii.gz")).any()
    assert (drawn["p06"]["drawn_on"], drawn["p06"]["dice"]) == (None, float(not alarm))


def test_scans_added_by_hand_give_what_is_pooled(folder, drawn):
    """Over voxels of the files, by SimpleITK's numbers of them; voxels of PET are a quarter of the others."""
    tested = [row for row in drawn.values() if row["split"] == "test"]
    (found,) = hnscc.query(
        folder / "run",
        "SELECT 2 * sum(overlap_ml) / sum(truth_ml + pred_ml) AS dice FROM drawn_scans WHERE split = 'test'",
    ).to_pylist()
    overlap, both = 0.0, 0.0
    for scan in (row["scan_id"] for row in tested):
        files = (folder / scan / "mask.nii.gz", folder / "out" / f"{scan}.nii.gz")
        truth, pred = (sitk.ReadImage(each) for each in files)
        pred = sitk.Resample(pred, truth, sitk.Transform(), sitk.sitkNearestNeighbor)
        voxel = np.prod(truth.GetSpacing())
        marked = [sitk.GetArrayFromImage(each) > 0 for each in (truth, pred)]
        overlap += voxel * np.sum(marked[0] & marked[1])
        both += voxel * sum(each.sum() for each in marked)
    assert found["dice"] == pytest.approx(2 * overlap / both, abs=1e-9)
