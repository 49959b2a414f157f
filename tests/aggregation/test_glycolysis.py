"""Total lesion glycolysis in the tables, by hand from the store's images and the stored probabilities."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_tables import rows
from stores import make_store, study_of
from trials import train_trial

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.scans import NOT_FINITE
from hnscc.base.encode import npz_bytes
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.scores.counts import positive
from hnscc.training.ready import make_run_ready

# A variant that is not shown PET: its lesions hold uptake all the same.
MRI = {"variants": {"mri": {"modalities": ["mri"]}}, "repeats": 1}


def trained(folder, units):
    store = make_store(folder, patients=8, slices=5, size=16, units=units)
    training = {"epochs": 8, "learning_rate": 0.05, "loss": "dice"}  # by it, many pixels reach 0.5
    study = study_of(store.location, **MRI, training=training)
    run = make_run_ready(study, folder / "run")
    (trial,) = run.not_completed()
    where = run.folder.trial(trial.trial_id)
    list(train_trial(study, trial, run.folds[0], where, device="cpu", precision="fp32"))
    return store, run.folder, where


@pytest.fixture(scope="module")
def suv(tmp_path_factory):
    store, run, trial = trained(tmp_path_factory.mktemp("suv"), {"pet": "SUV"})
    assert write_tables(run) == []
    return store, run, trial


def by_hand(store, run, trial, scan, threshold):
    """Mean SUV times ml of the true and the predicted mask of a scan; its voxels are 1 mm to each side."""
    images, mask = store.read(scan)
    slices = pq.read_table(run.fold(0).slices).to_pylist()
    at = [
        i
        for z in range(len(mask))
        for i, each in enumerate(slices)
        if (each["scan_id"], each["z"]) == (scan, z)
    ]
    levels = np.load(trial.predictions)["probabilities"][at]
    masks = mask.astype(bool), positive(levels, round(1000 * threshold))
    return [images[:, 0][each].mean() * each.sum() / 1000 if each.any() else 0.0 for each in masks]


def test_of_scans_patients_and_every_threshold(suv):
    """Of the trial at 0.5, and of the median model, which is the same one, at its own threshold."""
    store, run, trial = suv
    found = rows(run, "scans")
    assert len({row["threshold"] for row in found}) == 2
    for row in found:
        expected = by_hand(store, run, trial, row["scan_id"], row["threshold"])
        assert [row["tlg_truth"], row["tlg_pred"]] == pytest.approx(expected, rel=1e-6), row
        assert row["reason"] is None
    at_half = [row for row in found if row["threshold"] == 0.5]
    assert (
        sum(row["tlg_pred"] > 0 for row in at_half) > 2 and sum(row["tlg_truth"] > 0 for row in at_half) > 1
    )
    for row in rows(run, "patients"):
        own = [
            each
            for each in found
            if (each["patient_id"], each["threshold"]) == (row["patient_id"], row["threshold"])
        ]
        assert row["tlg_pred"] == pytest.approx(sum(each["tlg_pred"] for each in own))


def test_scores_that_are_computed_again_hold_it_too(suv):
    _, run, trial = suv
    before, content = rows(run, "scans"), trial.scores.read_bytes()
    trial.scores.unlink()
    write_tables(run)
    again = rows(run, "scans")
    trial.scores.write_bytes(content)
    for row, other in zip(before, again, strict=True):
        assert row["tlg_pred"] == pytest.approx(other.pop("tlg_pred"), rel=1e-6)
        assert row["tlg_truth"] == pytest.approx(other.pop("tlg_truth"), rel=1e-6)
        assert {key: value for key, value in row.items() if key in other} == other


def test_what_predicted_before_uptake_was_kept_has_none_and_says_why(suv):
    _, run, trial = suv
    kept = {path: path.read_bytes() for path in (trial.record, trial.predictions, trial.scores)}
    trial.predictions.write_bytes(npz_bytes(probabilities=np.load(trial.predictions)["probabilities"]))
    facts = json.loads(kept[trial.scores])
    for scan in facts["scans"].values():
        scan["volumes"] |= {"tlg_truth": None, "tlg_pred": None}
    trial.scores.write_text(json.dumps(facts))
    record = read_sealed(trial.record)
    hashes = {path.name: sha256(path.read_bytes()) for path in (trial.predictions, trial.scores)}
    write_sealed(trial.record, record | {"files": record["files"] | hashes})
    write_tables(run)
    assert {(row["tlg_truth"], row["reason"][:20]) for row in rows(run, "scans")} == {
        (None, "the trial predicted ")
    }
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_scan_whose_uptake_is_not_finite_has_none_and_says_so(suv):
    """`glycolysis` gives NaN of it. It was said to be predicted before trials kept uptake."""
    _, run, trial = suv
    kept = {path: path.read_bytes() for path in (trial.record, trial.predictions, trial.scores)}
    stored = dict(np.load(trial.predictions))
    stored["glycolysis"][0] = np.nan
    trial.predictions.write_bytes(npz_bytes(**stored))
    trial.scores.unlink()
    record = read_sealed(trial.record)
    hashes = {trial.predictions.name: sha256(trial.predictions.read_bytes())}
    write_sealed(trial.record, record | {"files": record["files"] | hashes})
    assert write_tables(run) == []
    first = min(row["scan_id"] for row in rows(run, "scans"))
    for row in rows(run, "scans"):
        assert (row["tlg_truth"] is None) == (row["scan_id"] == first)
        assert row["reason"] == (NOT_FINITE if row["scan_id"] == first else None)
    assert NOT_FINITE in {row["reason"] for row in rows(run, "patients")}
    for path, content in kept.items():
        path.write_bytes(content)


def test_where_no_file_states_suv_there_is_none_and_the_row_says_why(tmp_path):
    _, run, trial = trained(tmp_path, None)
    assert write_tables(run) == []
    assert set(np.load(trial.predictions)) == {"probabilities"}
    for table in ("scans", "patients"):
        for row in rows(run, table):
            assert row["tlg_truth"] is None and "do not state that their uptake is SUV" in row["reason"]
