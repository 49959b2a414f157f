"""Which trials stand in the tables: the median model, and what is failed, missing or damaged."""

import shutil
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import Slice, add_failure, add_trial, small_study, write_run
from small_tables import LESION, check_tables, levels, mask, repeats_run, row, rows
from stores import make_store, study_of

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.folds import Damaged, load_fold
from hnscc.aggregation.medians import medians_of
from hnscc.aggregation.results import load_results
from hnscc.aggregation.trials import Completed, failure_summary, load_probabilities
from hnscc.base.encode import npz_bytes, parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.base.steps import at_once
from hnscc.commands.status import run_status
from hnscc.scores.counts import Counts
from hnscc.scores.slice_sets import in_set
from hnscc.scores.stored import scores_to_bytes, scoring_at_half
from hnscc.study.identity import trial_seeds
from hnscc.study.trials import Trial, trials_of
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record
from hnscc.training.states import BY_OTHER_SETTINGS
from hnscc.training.trial import steps_of_trial

AGAIN = "`hnscc run` trains it again, once the cause is mended"


@pytest.mark.parametrize(
    ("scores", "median"),
    [([3], 0), ([4, 1, 2], 2), ([4, 1, 2, 3], 2), ([2, 2, 2, 2], 1), ([None, 4, 1], 2), ([3, None, 3, 1], 0)],
)
def test_median_repeat(tmp_path, scores, median):
    run = repeats_run(tmp_path, scores)
    write_tables(run)
    check_tables(run)
    assert [each["repeat"] for each in rows(run, "trials", is_median=True)] == [median]
    pooled = row(run, "pooled", variant="pet", split="test")
    completed = [2 * pixels / (pixels + 4) for pixels in scores if pixels is not None]
    assert (pooled["repeats"], pooled["failed"]) == (len(completed), scores.count(None))
    assert pooled["dice_repeats_median"] == pytest.approx(np.median(completed))
    assert pooled["dice_repeats_q25"] == pytest.approx(np.quantile(completed, 0.25))


def test_medians_on_validation_and_on_test_may_be_different_trials(tmp_path):
    slices = [Slice(split, split, mask(*LESION)) for split in ("validation", "test")]
    study = small_study(("pet",), repeats=3)
    run = write_run(tmp_path, study, [slices])
    for trial, pixels in zip(trials_of(study), [(1, 2), (2, 3), (3, 1)], strict=True):
        predicted = [dict.fromkeys(LESION[:each], 700) for each in pixels]
        add_trial(run, study, trial, levels(*predicted))
    write_tables(run)
    assert [each["train_dice"] for each in rows(run, "trials")] == [None] * 3, "no slice is kept that trained"
    assert row(run, "protocol", reading="corrected")["trial_ids"] == "pet-f0-r01"
    assert row(run, "protocol", reading="as_written")["trial_ids"] == "pet-f0-r00"
    assert row(run, "protocol", reading="as_coded")["trial_ids"] == "pet-f0-r00"


def test_a_trial_that_another_study_of_the_same_folder_trained_is_not_used(tmp_path):
    """Both were begun before either had trained a trial; the tables said the later one's settings of all trials."""
    store = make_store(tmp_path / "store").location
    pet = {"variants": {"pet": {"modalities": ["pet"]}}, "repeats": 2}
    other = {"learning_rate": 0.02, "epochs": 1}
    first, second = (
        make_run_ready(study_of(store, training=each, **pet), tmp_path / "run", replace_folds=False)
        for each in ({"epochs": 1}, other)
    )
    trials = trials_of(first.study)
    for ready, trial in zip((first, second), trials, strict=True):
        list(steps_of_trial(ready.task(trial)))
    told, left = write_tables(first.folder)
    rate = first.study.training.learning_rate
    assert told.unusable and told.text.startswith("pet-f0-r00: not used: it was trained by other settings")
    assert f"training.learning_rate: {rate} -> 0.02" in told.text and left.text == "1 of 2 trials is missing"
    assert [each["status"] for each in rows(first.folder, "trials")] == ["missing", "completed"]
    status = run_status(first.folder)
    assert status["variants"]["pet"]["completed"] == 1 and BY_OTHER_SETTINGS in status["remarks"][0]["remark"]


def test_failed_missing_and_damaged_trials_are_named_and_never_used(tmp_path):
    run = repeats_run(tmp_path, [3, None, 1, 2, 2, 4])
    trials = [run.trial(f"pet-f0-r{repeat:02d}") for repeat in range(6)]
    shutil.rmtree(trials[2].root)
    trials[3].predictions.write_bytes(trials[5].predictions.read_bytes())
    trials[4].record.write_text("{ not whole")
    problems = [each.text for each in write_tables(run)]
    check_tables(run)
    assert [each["status"] for each in rows(run, "trials")] == [
        "completed",
        "failed",
        "missing",
        "missing",
        "missing",
        "completed",
    ]
    reasons = [each["reason"] for each in rows(run, "trials")]
    assert reasons[1] == f"failed: RuntimeError; the traceback is in its record.json; {AGAIN}"
    assert "secret" not in str(reasons) and "secret" not in str(problems)
    assert "predictions.npz is damaged: its content is not what was written" in reasons[3]
    assert [each.split(":")[0] for each in problems] == [
        "pet-f0-r01",
        "pet-f0-r03",
        "pet-f0-r04",
        "3 of 6 trials are missing",
    ]
    pooled = row(run, "pooled", split="test")
    assert (pooled["repeats"], pooled["failed"], pooled["missing"]) == (2, 1, 3)
    assert {each["trial_id"] for each in rows(run, "slices")} == {"pet-f0-r00", "pet-f0-r05"}


def scores_of(run, probabilities):
    """The scores of these probabilities of a run's first fold, uint16 (N, H, W), as its trials store them."""
    fold = load_fold(run, 0)
    scores = at_once(scoring_at_half(probabilities, fold.masks, fold.scan_rows, fold.spacing_mm, 5.0))
    return scores_to_bytes(scores, fold.spacing_mm, 5.0)


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"data": "other"}},
        {"trial_id": "pet-f0-r09"},
        {"settings": None},
        {"settings": {}},
        {"files": {}},
        {"files": None},
        {"files": [1]},
        {"best_epoch": "two"},
        {"seconds": None},
        {"status": "started", "error": ""},
        {"status": "failed", "error": None},
        {"trial_id": "pet-f0-r09", "status": "failed", "error": "ValueError: no"},
    ],
)
def test_a_record_that_does_not_belong_is_not_used(tmp_path, wrong):
    """Nor are the scores that it vouches for, though no median model's predictions are asked for."""
    run = repeats_run(tmp_path, [2, 3, 1])
    trial = run.trial("pet-f0-r01")
    trial.scores.write_bytes(scores_of(run, np.load(trial.predictions)["probabilities"]))
    right = read_sealed(trial.record)
    right["files"][trial.scores.name] = sha256(trial.scores.read_bytes())
    write_sealed(trial.record, right | wrong)
    assert write_tables(run)[0].text.startswith("pet-f0-r01: not used: ")
    check_tables(run)
    found = row(run, "trials", trial_id="pet-f0-r01")
    assert found["status"] == "missing" and found["reason"].startswith("not used: ")


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "name", ["trial_id", "status", "settings", "files", "best_epoch", "device", "identity"]
)
def test_a_record_that_lacks_something_is_not_used(tmp_path, name):
    run = repeats_run(tmp_path, [3, 2])
    record = run.trial("pet-f0-r01").record
    write_sealed(record, {key: value for key, value in read_sealed(record).items() if key != name})
    assert write_tables(run)[0].text.startswith("pet-f0-r01: not used: its record ")
    check_tables(run)
    assert row(run, "trials", trial_id="pet-f0-r01")["status"] == "missing"


def test_a_failure_is_told_without_its_message(tmp_path):
    run = repeats_run(tmp_path, [3, 2])
    add_failure(run, Trial("pet", 0, 1), "Traceback\n  x\nRuntimeError: /home/p/s.nii")
    record = read_record(run.trial("pet-f0-r01"))
    assert failure_summary(record) == f"failed: RuntimeError; the traceback is in its record.json; {AGAIN}"
    diverged = failure_summary(record.model_copy(update={"failure": "Diverged"}))
    assert diverged.startswith("failed: Diverged; ") and diverged.endswith(": lower training.learning_rate")
    full = failure_summary(record.model_copy(update={"failure": "OutOfMemoryError"}))
    assert "lower training.batch_size" in full


def test_predictions_of_another_shape_are_not_used(tmp_path):
    run = repeats_run(tmp_path, [3, 2])
    study = small_study(("pet",), repeats=2)
    for shape, kind in (((2, 4, 4), np.uint16), ((3, 4, 4), np.float32)):
        add_trial(run, study, Trial("pet", 0, 1), np.zeros(shape, kind))
        assert "not uint16 (3, 4, 4)" in write_tables(run)[0].text
    of_others = replace(load_fold(run, 0), others_digest="others")
    with pytest.raises(Damaged, match="predicted other slices"):
        load_probabilities(run, Trial("pet", 0, 0), of_others)


def test_a_loss_that_is_no_finite_number_is_null(tmp_path):
    run = repeats_run(tmp_path, [3])
    trial = run.trial("pet-f0-r00")
    history = pq.read_table(trial.history).to_pydict()
    history |= {"train_loss": [np.nan, 0.5], "val_loss": [np.inf, -np.inf]}
    replaced(trial, trial.history, parquet_bytes(pa.table(history)))
    write_tables(run)
    assert [(each["train_loss"], each["val_loss"]) for each in rows(run, "epochs")] == [
        (None, None),
        (0.5, None),
    ]


def store_glycolysis(trial, shape: tuple[int, int]) -> None:
    """Write glycolysis of this shape beside a trial's probabilities."""
    probabilities = np.load(trial.predictions)["probabilities"]
    replaced(trial, trial.predictions, npz_bytes(probabilities=probabilities, glycolysis=np.ones(shape)))


def replaced(trial, path, content: bytes) -> None:
    """Write a file of a trial, and its hash into the trial's record."""
    path.write_bytes(content)
    record = read_sealed(trial.record)
    write_sealed(trial.record, record | {"files": record["files"] | {path.name: sha256(content)}})


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\3\4 junk", npz_bytes(other=np.zeros(1))])
def test_predictions_that_cannot_be_read_are_not_used_and_scores_of_them_are(tmp_path, content):
    run = repeats_run(tmp_path, [2, 3, 1])
    trial = run.trial("pet-f0-r01")
    scores = scores_of(run, np.load(trial.predictions)["probabilities"])
    replaced(trial, trial.predictions, content)
    assert "holds no readable probabilities" in write_tables(run)[0].text
    replaced(trial, trial.scores, scores)
    assert write_tables(run) == []


def test_glycolysis_of_another_shape_is_not_used(tmp_path):
    """Of three scans, where the fold has two: whose they are nothing says. It was dropped in silence."""
    run = repeats_run(tmp_path, [3, 2])
    for shape, used in (((2, 1001), True), ((3, 1001), False), ((2, 1000), False)):
        store_glycolysis(run.trial("pet-f0-r01"), shape)
        problems = write_tables(run)
        expected = f"predictions.npz holds glycolysis of {shape}, not (2, 1001)"
        assert problems == [] if used else expected in problems[0].text


def test_glycolysis_is_not_asked_for_where_no_whole_scan_is_scored(tmp_path):
    run = repeats_run(tmp_path, [3, 2], evaluation={"slices": "sampled", "cutoff_px": 2})
    store_glycolysis(run.trial("pet-f0-r01"), (2, 1001))
    assert write_tables(run) == []


def test_there_is_no_completed_trial_without_counts(tmp_path):
    """Left out of a median in silence, it would shift the positions: another trial would stand as the median model."""
    run = repeats_run(tmp_path, [1, 2, 4])
    results = load_results(run)
    (fold,), found = results.folds, list(results.of("pet"))
    assert medians_of(run, found, fold, 5.0)["corrected"].result.trial.repeat == 1
    parts = {each.name: getattr(found[0], each.name) for each in fields(found[0]) if each.name != "counts"}
    with pytest.raises(TypeError, match="counts"):
        Completed(**parts)


def test_a_set_of_slices_that_is_none_is_refused():
    """It was taken as all of them."""
    counts = Counts(*(np.array([0, 3, 4]) for _ in range(3)))
    assert in_set(counts, "all", 1).tolist() == [True, True, True]
    assert in_set(counts, "lesion", 1).tolist() == [False, True, True]
    with pytest.raises(ValueError, match="not 'lesions'"):
        in_set(counts, "lesions", 1)


@pytest.mark.parametrize("lacking", ["others_digest", "slices", "spacing_mm", "used"])
def test_a_fold_that_does_not_say_what_it_scores_is_refused(tmp_path, lacking):
    """It was taken as one of the sampled slices alone, whose scans are not whole."""
    run = repeats_run(tmp_path, [1])
    folder = run.fold(0)
    split = read_sealed(folder.split)
    if lacking == "used":
        pq.write_table(pq.read_table(folder.slices).drop_columns("used"), folder.slices)
        split["files"][folder.slices.name] = sha256(folder.slices.read_bytes())
    else:
        del split[lacking]
    write_sealed(folder.split, split)
    with pytest.raises(InputError, match="missing or damaged") as refused:
        load_fold(run, 0)
    assert lacking in refused.value.found and "hnscc run" in refused.value.do


def test_a_median_trial_whose_predictions_cannot_be_used_gives_way_to_the_next(tmp_path):
    """Its scores are whole and say it is the median one; its predictions, as recorded, are of another shape."""
    run = repeats_run(tmp_path, [4, 1, 2])
    median = run.trial("pet-f0-r02")
    good = np.load(median.predictions)["probabilities"]
    replaced(median, median.scores, scores_of(run, good))
    replaced(median, median.predictions, npz_bytes(probabilities=good[:, :2]))
    problems = [each.text for each in write_tables(run)]
    check_tables(run)
    assert problems[0].startswith("pet-f0-r02: not used: ") and "uint16 (3, 4, 4)" in problems[0]
    assert [each["status"] for each in rows(run, "trials")] == ["completed", "completed", "missing"]
    assert [each["repeat"] for each in rows(run, "trials", is_median=True)] == [1]
    study = small_study(("pet",), repeats=3)
    seeds = [trial_seeds(study, each)["trial"] for each in trials_of(study)]
    assert [each["seed"] for each in rows(run, "trials")] == seeds
    assert row(run, "pooled", split="test")["repeats"] == 2
