"""Every slice of validation and test scans is predicted and scored, and decides nothing in training."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from stores import changed_store, make_store, study_of
from trials import train_trial

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import read_table
from hnscc.base.errors import InputError
from hnscc.base.files import write_text
from hnscc.scores.metrics import dice
from hnscc.study.loading import dump_study
from hnscc.study.trials import trials_of
from hnscc.training.ready import make_run_ready, open_and_divide
from hnscc.training.records import read_record

ONE = {"variants": {"pet": {"modalities": ["pet"]}}, "sampling": {"max_positive": 8}}
ALL, SAMPLED = {"evaluation": {"slices": "all"}}, {"evaluation": {"slices": "sampled"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=10, size=16)


def train_all(study, root):
    """Train what is missing, and write the tables."""
    run = make_run_ready(study, root)
    for trial in run.not_completed():
        folder = run.folder.trial(trial.trial_id)
        list(train_trial(study, trial, run.folds[trial.fold], folder, device="cpu", precision="fp32"))
    problems = write_tables(run.folder)
    return run, problems


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    study = study_of(store.location, **ONE)
    return study, *train_all(study, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def sampled(store, tmp_path_factory):
    study = study_of(store.location, **ONE, **SAMPLED)
    return study, *train_all(study, tmp_path_factory.mktemp("sampled"))


def copied(made, root):
    """A copy of a finished run folder, ready again: `made` stays as it is."""
    shutil.copytree(made[1].folder.root, root, dirs_exist_ok=True)
    return make_run_ready(made[0], root)


def test_every_slice_of_validation_and_test_is_scored_once(store, whole):
    study, run, problems = whole
    assert problems == []
    _, (division,) = open_and_divide(study)
    rows = read_table(run.folder, "slices").filter(
        pq.filters_to_expression([("trial_id", "=", "pet-f0-r00")])
    )
    at_half = [row for row in rows.to_pylist() if row["threshold"] == 0.5]
    for split in ("validation", "test"):
        patients = set(division.patients[split])
        expected = {(s.scan_id, z) for s in store.scans if s.patient_id in patients for z in range(s.slices)}
        found = [(row["scan_id"], row["z"]) for row in at_half if row["split"] == split]
        assert len(found) == len(expected)
        assert set(found) == expected
        used = {(row["scan_id"], row["z"]) for row in at_half if row["split"] == split and row["used"]}
        assert used == {(each.scan_id, each.z) for each in division.slices[split]}
        assert len(used) < len(expected)
    assert all(row["used"] for row in at_half if row["split"] == "train")


def test_scores_of_a_split_are_those_of_whole_scans(store, whole):
    """Table `trials` and the record, against the stored probabilities and the store's own masks."""
    _, run, _ = whole
    folder = run.folder.trial("pet-f0-r00")
    slices = pq.read_table(run.folder.fold(0).slices).to_pylist()
    levels = np.load(folder.predictions)["probabilities"]
    masks = {scan.scan_id: store.read(scan.scan_id)[1] for scan in store.scans}
    predicted = [level >= 32768 for level, row in zip(levels, slices, strict=True) if row["split"] == "test"]
    truth = [masks[row["scan_id"]][row["z"]] > 0 for row in slices if row["split"] == "test"]
    both = sum(int((p & t).sum()) for p, t in zip(predicted, truth, strict=True))
    expected = float(dice(both, sum(map(np.sum, predicted)), sum(map(np.sum, truth))))
    assert read_record(folder).scores["test"]["dice"] == pytest.approx(expected)
    assert read_table(run.folder, "trials").to_pylist()[0]["test_dice"] == pytest.approx(expected)


def test_whole_scans_change_no_weight_and_sampled_ones_stay_the_first(whole, sampled):
    """The other slices come after those that are used, so that the sampled set can be read from either."""
    for trial in trials_of(whole[0]):
        records = [read_record(each[1].folder.trial(trial.trial_id)) for each in (whole, sampled)]
        assert records[0].files["weights.safetensors"] == records[1].files["weights.safetensors"]
        assert records[0].identity == records[1].identity
        folders = [each[1].folder.trial(trial.trial_id) for each in (whole, sampled)]
        levels = [np.load(each.predictions)["probabilities"] for each in folders]
        assert len(levels[1]) == len(sampled[1].folds[0]) < len(levels[0])
        np.testing.assert_allclose(levels[0][: len(levels[1])].astype(float), levels[1], atol=2)


def test_a_run_of_sampled_slices_predicts_the_others_by_its_weights(whole, sampled, tmp_path):
    """The same bytes as a run that predicted them at once; not an epoch is trained."""
    copied(sampled, tmp_path)
    run, problems = train_all(whole[0], tmp_path)
    assert problems == [] == run.not_completed()
    for trial in trials_of(whole[0]):
        here, there = (each.folder.trial(trial.trial_id) for each in (run, whole[1]))
        assert here.predictions.read_bytes() == there.predictions.read_bytes()
        assert len(read_record(here).attempts) == 1
        assert read_record(here).scores == read_record(there).scores
    for table in ("pooled", "slices", "comparisons", "classification"):
        assert run.folder.table(table).read_bytes() == whole[1].folder.table(table).read_bytes()


def test_cut_short_between_predictions_and_record_it_predicts_again(whole, sampled, tmp_path):
    run = copied(sampled, tmp_path)
    trial = run.folder.trial("pet-f0-r01")
    trial.predictions.write_bytes(whole[1].folder.trial("pet-f0-r01").predictions.read_bytes())
    run, problems = train_all(whole[0], tmp_path)
    assert problems == []
    assert len(read_record(trial).attempts) == 1


def test_without_weights_the_trial_is_trained_again(whole, sampled, tmp_path):
    run = copied(sampled, tmp_path)
    trial = run.folder.trial("pet-f0-r00")
    weights = trial.weights.read_bytes()
    trial.weights.unlink()
    run, problems = train_all(whole[0], tmp_path)
    assert problems == [] == run.not_completed()
    assert trial.weights.read_bytes() == weights


def test_tables_never_mix_sampled_slices_with_whole_scans(whole, sampled, tmp_path):
    run = copied(sampled, tmp_path)
    pooled = run.folder.table("pooled").read_bytes()
    write_text(run.folder.study, dump_study(whole[0]))
    with pytest.raises(InputError, match="sampled slices alone") as refused:
        write_tables(run.folder)
    assert "`hnscc run STUDY` adds the others" in str(refused.value)
    assert run.folder.table("pooled").read_bytes() == pooled
    # The fold is whole now, and no trial has predicted the other slices.
    run = make_run_ready(whole[0], tmp_path)
    assert {each.status for each in states_of_trials(run)} == {"completed"}
    told = " ".join(each.text for each in write_tables(run.folder))
    assert told.count("`hnscc run` predicts them by its weights") == 2
    assert {row["status"] for row in read_table(run.folder, "trials").to_pylist()} == {"missing"}


def states_of_trials(run):
    return [read_record(run.folder.trial(trial.trial_id)) for trial in trials_of(run.study)]


def test_a_run_of_whole_scans_is_read_as_sampled_without_a_training(whole, sampled, tmp_path):
    copied(whole, tmp_path)
    run, problems = train_all(sampled[0], tmp_path)
    assert problems == []
    names = ("trial_id", "test_dice", "val_dice", "is_median")
    found, expected = (
        read_table(each.folder, "trials").select(names).to_pylist() for each in (run, sampled[1])
    )
    assert [list(row.values()) for row in found] == [
        pytest.approx(list(row.values()), abs=1e-3) for row in expected
    ]
    counts = Counter(row["used"] for row in read_table(run.folder, "slices").to_pylist())
    assert set(counts) == {True}


def test_a_validation_set_of_single_slices_stays_as_it_is(store):
    """Its scans are trained on too; test scans are whole all the same."""
    _, (division,) = open_and_divide(study_of(store.location, **ONE, **ALL, protocol="as_written"))
    assert {split for split, _ in division.others} == {"test"}
    assert sum("chosen on sampled slices" in each for each in division.warnings) == 1
    _, (division,) = open_and_divide(study_of(store.location, **ONE, protocol="as_written"))
    assert division.others is None
    assert not any("chosen on sampled slices" in each for each in division.warnings)


def test_slices_of_no_modality_count_in_whole_scans(store, tmp_path):
    """A lesion that lies outside of a modality's field of view is missed there, and so it counts."""
    hidden = replace(store.scans[0], placement={"outside": {"pet": [0]}})
    turns = ["test"] * 4 + ["train"] * 4 + ["validation"] * 2
    splits = dict(zip([each.patient_id for each in store.scans], turns, strict=True))
    other = changed_store(replace(store, scans=(hidden, *store.scans[1:])), tmp_path, splits)
    study = study_of(other.location, **ONE)
    _, (division,) = open_and_divide(study)
    assert (hidden.scan_id, 0) not in {(each.scan_id, each.z) for _, each in division.order}
    assert (hidden.scan_id, 0) in {(each.scan_id, each.z) for _, each in division.scored}


def test_nothing_of_the_test_patients_reaches_weights_thresholds_or_choices(store, tmp_path):
    """The firewall: all test pixels and labels are replaced by others."""
    splits = {each.patient_id: "train" for each in store.scans}
    splits |= {"p00": "test", "p01": "test", "p02": "test", "p04": "validation", "p03": "validation"}
    rng = np.random.default_rng(5)

    def corrupt(scan_id, images, mask):
        if splits[scan_id[:3]] != "test":
            return images, mask
        return 90 * rng.random(images.shape, np.float32) - 40, 1 - mask

    found = []
    for name, change in (("sound", None), ("corrupt", corrupt)):
        (tmp_path / name).mkdir()
        other = changed_store(store, tmp_path / name, splits, change)
        variants = {"pet_mri": {"modalities": ["pet", "mri"]}}
        study = study_of(other.location, repeats=3, training={"epochs": 6}, variants=variants)
        run, problems = train_all(study, tmp_path / name / "run")
        assert problems == []
        found.append(run.folder)
    columns = ["weights_sha256", "best_epoch", "epochs", "is_median", "val_dice", "train_dice", "seed"]
    trials = [read_table(each, "trials").select(columns).to_pylist() for each in found]
    assert trials[0] == trials[1]
    chosen = [
        [
            (row["variant"], row["threshold"], row["dice"])
            for row in read_table(each, "thresholds").to_pylist()
            if row["chosen"] and row["split"] == "validation"
        ]
        for each in found
    ]
    assert chosen[0] == chosen[1] != []
    bounds = [json.loads(each.fold(0).split.read_text())["bounds"] for each in found]
    assert bounds[0] == bounds[1]
    scores = [read_table(each, "slices")["truth_px"].to_pylist() for each in found]
    assert scores[0] != scores[1], "the corruption did not reach the scores"


def test_stored_scores_are_those_of_the_predictions(whole, tmp_path):
    """Without them, and by another tolerance, tables come from the predictions; no table says which way they came."""
    run = copied(whole, tmp_path)
    names = ("scans", "patients", "lesions", "detection", "reliability", "slices", "pooled")
    before = {name: run.folder.table(name).read_bytes() for name in names}
    for trial in trials_of(whole[0]):
        run.folder.trial(trial.trial_id).scores.unlink()
    assert write_tables(run.folder) == []
    assert {name: run.folder.table(name).read_bytes() for name in names} == before


@pytest.mark.parametrize("tolerance", [50.0, 0.5])
def test_another_tolerance_needs_no_training(whole, store, tmp_path, tolerance):
    """Whether the scores stored before are left aside, or are stored again by the new one. All surfaces lie within 50
    mm, and many do not within half a mm."""
    other = study_of(store.location, **ONE, evaluation={"tolerance_mm": tolerance})
    trials, found = copied(whole, tmp_path).folder, []
    for damaged in (False, True):
        for each in trials_of(other) if damaged else ():
            trials.trial(each.trial_id).scores.write_text("damaged")
        run, problems = train_all(other, tmp_path)
        assert problems == [] == run.not_completed()
        scans = read_table(run.folder, "scans").to_pylist()
        found.append([row["nsd"] for row in scans])
    assert found[0] == found[1]
    of_both = {row["nsd"] for row in scans if row["truth_ml"] and row["pred_ml"]}
    assert (of_both == {1.0}) is (tolerance == 50.0)
    before = train_all(whole[0], tmp_path)[0].folder.table("scans")
    assert before.read_bytes() == whole[1].folder.table("scans").read_bytes()
    assert {len(read_record(trials.trial(each.trial_id)).attempts) for each in trials_of(other)} == {1}


def test_a_corrected_spacing_reaches_every_score_without_a_training(whole, store, tmp_path):
    """The store prepared again: the same pixels, so the same digest, three times as far apart along z. Scores stored
    before must not stand beside those of the median models, which are always computed."""
    run = copied(whole, tmp_path)
    splits = dict.fromkeys(scan.patient_id for scan in store.scans)
    corrected = changed_store(store, tmp_path, splits, spacing_mm=(3.0, 1.0, 1.0))
    assert train_all(study_of(corrected.location, **ONE), tmp_path)[1] == []
    tables = {name: read_table(run.folder, name).to_pylist() for name in ("scans", "patients", "slices")}
    voxels = Counter()
    for each in tables["slices"]:
        voxels[each["trial_id"], each["threshold"], each["scan_id"]] += each["truth_px"]
    for each in tables["scans"]:
        truth = voxels[each["trial_id"], each["threshold"], each["scan_id"]]
        assert each["truth_ml"] == pytest.approx(truth * 3 / 1000)
    for each in tables["patients"]:
        assert each["truth_ml"] is None or each["truth_ml"] == pytest.approx(each["truth_px"] * 3 / 1000)
    assert {each["threshold"] == 0.5 for each in tables["scans"]} == {True, False}
    assert {len(read_record(run.folder.trial(each.trial_id)).attempts) for each in trials_of(whole[0])} == {1}


def test_damage_to_stored_scores_is_named(whole, tmp_path):
    run = copied(whole, tmp_path)
    scores = run.folder.trial("pet-f0-r01").scores
    scores.write_bytes(scores.read_bytes().replace(b"1", b"2", 1))
    assert any("scores.json is damaged" in each.text for each in write_tables(run.folder))
    assert [trial.trial_id for trial in run.not_completed()] == ["pet-f0-r01"]
    assert train_all(whole[0], tmp_path)[1] == []
