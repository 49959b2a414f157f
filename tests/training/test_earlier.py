"""What an earlier invocation settled stays: versions, the split, records, and every entry of the provenance."""

import json
import re
from importlib.metadata import version

import numpy as np
import pytest
import yaml
from forked import Forked
from run_folders import add_trial, random_run, small_study
from stores import make_store, study_of
from trials import train_pet, train_trial

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import read_table
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed, write_text
from hnscc.reporting.report import write_report
from hnscc.study import identity
from hnscc.study.loading import dump_study, load_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.boundary import begin, write_failure
from hnscc.training.earlier import check_identities, check_same_folds, with_enough
from hnscc.training.provenance import read_invocations
from hnscc.training.ready import make_run_ready
from hnscc.training.records import read_record, write_record
from hnscc.training.states import trial_state

TRIAL = Trial("pet", 0, 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def test_versions_and_the_houses_arithmetic_are_part_of_an_identity(monkeypatch):
    study = study_of("s")
    before = begin(study, TRIAL, "d", device="cpu", precision="fp32")
    assert before.settings["versions"] == {
        "hnscc arithmetic": str(identity.ARITHMETIC),
        **{
            name: version(name)
            for name in (
                *("torch", "torchvision", "timm", "segmentation-models-pytorch", "albumentations"),
                *("opencv-python-headless", "numpy"),
            )
        },
    }
    monkeypatch.setattr(identity, "ARITHMETIC", identity.ARITHMETIC + 1)
    assert begin(study, TRIAL, "d", device="cpu", precision="fp32").identity != before.identity


def test_what_trains_alike_goes_on_however_it_was_spelt(store, tmp_path):
    """Records of before may name an architecture in capitals, and hold settings that change nothing."""
    study = study_of(store.location, training={"epochs": 1, "patience": 1}, repeats=1)
    run = train_pet(study, tmp_path / "run").folder
    folder = run.trial("pet-f0-r00")
    record = read_record(folder)
    settings = json.loads(json.dumps(record.settings))
    settings["training"]["network"]["architecture"] = "Paper"
    settings["augmentation"]["rotate_degrees"] = 30.0
    write_record(
        folder, record.model_copy(update={"settings": settings, "identity": identity.identity(settings)})
    )
    ready = make_run_ready(study, tmp_path / "run")
    assert {trial.variant for trial in ready.not_completed()} == {"pet_mri"}
    settings["training"]["epochs"] = 2
    write_record(
        folder, record.model_copy(update={"settings": settings, "identity": identity.identity(settings)})
    )
    with pytest.raises(InputError, match="now train otherwise") as caught:
        make_run_ready(study, tmp_path / "run")
    assert caught.value.found == "training.epochs: 2 -> 1"


def test_a_share_of_test_patients_beside_folds_is_no_other_split(store, tmp_path):
    """Folders of before may hold one; the file that gave it is now told to leave it out."""
    study = study_of(store.location, training={"epochs": 1, "patience": 1}, repeats=1, split={"folds": 2})
    run = train_pet(study, tmp_path / "run").folder
    kept = yaml.safe_load(run.study.read_text())
    kept["split"]["test"] = 0.3
    run.study.write_text(yaml.safe_dump(kept))
    check_same_folds(study, run)
    kept["split"]["validation"] = 0.3
    run.study.write_text(yaml.safe_dump(kept))
    with pytest.raises(InputError, match="another division") as caught:
        check_same_folds(study, run)
    assert caught.value.found == "split.validation: 0.3 -> 0.15"


def test_trials_of_other_versions_are_refused_or_accepted_and_told(store, tmp_path, monkeypatch):
    """Weights have changed between versions before: a folder that would be mixed is no longer mixed unseen."""
    study = study_of(store.location, training={"epochs": 1, "patience": 1}, repeats=2)
    first = train_pet(study, tmp_path / "run")
    assert first.versions["torch"] == version("torch"), "every machine that trains must have it"
    run = first.folder
    monkeypatch.setattr(identity, "ARITHMETIC", 99)
    with pytest.raises(InputError, match="other versions") as caught:
        make_run_ready(study, tmp_path / "run")
    assert (
        f"hnscc arithmetic: {read_record(run.trial('pet-f0-r00')).versions['hnscc arithmetic']} -> 99"
        in str(caught.value)
    )
    assert "--accept-versions" in caught.value.do and "pet-f0-r00" in caught.value.where
    ready = make_run_ready(study, tmp_path / "run", accept_versions=True)
    assert ready.versions is None, "machines may have others, too"
    left = ready.not_completed()
    assert {trial.variant for trial in left} == {"pet_mri"}
    device, precision = ready.computed_by["pet_mri"]
    folder = run.trial(left[0].trial_id)
    list(train_trial(study, left[0], ready.folds[0], folder, device=device, precision=precision))
    write_tables(run)
    rows = {row["trial_id"]: row["versions"] for row in read_table(run, "trials").to_pylist()}
    assert "hnscc arithmetic 99" in rows[left[0].trial_id]
    assert "hnscc arithmetic 99" not in rows["pet-f0-r00"]
    assert f"torch {version('torch')}" in rows["pet-f0-r00"]
    write_report(run)
    text = run.markdown.read_text()
    assert "2 different sets of versions" in text and "By albumentations" in text


@pytest.mark.slow
def test_a_report_of_one_set_of_versions_says_nothing_of_them(tmp_path):
    run = random_run(tmp_path, small_study(repeats=2))
    write_tables(run)
    write_report(run)
    assert "sets of versions" not in run.markdown.read_text()


def test_other_settings_are_refused_though_versions_are_accepted(store, tmp_path, monkeypatch):
    study = study_of(store.location, training={"epochs": 1, "patience": 1})
    train_pet(study, tmp_path / "run")
    monkeypatch.setattr(identity, "ARITHMETIC", 99)
    other = study_of(store.location, training={"epochs": 2, "patience": 1})
    with pytest.raises(InputError, match="train otherwise") as caught:
        make_run_ready(other, tmp_path / "run", accept_versions=True)
    assert "training.epochs: 1 -> 2" in caught.value.found


def test_repeats_that_become_pairs_are_told_by_what_their_seeds_follow_from(store, tmp_path):
    """Four pairs of numbers were told, of 19 digits each, and that they be set back: no study file holds them."""
    settings = {"epochs": 1, "patience": 1}
    train_pet(study_of(store.location, training=settings, repeats=6), tmp_path / "run")
    paired = study_of(store.location, training=settings, repeats={"number": 6, "paired": True})
    with pytest.raises(InputError, match="train otherwise") as caught:
        make_run_ready(paired, tmp_path / "run")
    assert caught.value.found.count("repeats.paired") == 1 and not re.search(r"\d{4}", caught.value.found)


def test_another_split_is_refused_by_trained_trials_and_not_by_failed_ones(store, tmp_path):
    """A trial that failed is trained again, by the split that the study then has."""
    settings = {"epochs": 1, "patience": 1}
    study, other = (study_of(store.location, training=settings, seed=seed) for seed in (2023, 7))
    ready = make_run_ready(study, tmp_path / "failed")
    digest, folder = ready.folds[0].digest, ready.folder.trial("pet-f0-r00")
    began = begin(study, TRIAL, digest, device="cpu", precision="fp32")
    write_failure(folder, began, [], "RuntimeError", "it failed")
    make_run_ready(other, tmp_path / "failed")
    assert load_study(ready.folder.study).seed == 7
    train_pet(study, tmp_path / "trained")
    with pytest.raises(InputError, match="another division") as caught:
        make_run_ready(other, tmp_path / "trained")
    assert caught.value.found == "seed: 2023 -> 7"


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"seed": 7}, "seed: 2023 -> 7"),
        ({"sampling": {"max_positive": 6}}, "sampling.max_positive: "),
        ({"split": {"test": 0.25, "validation": 0.4}}, "split.validation: 0.34 -> 0.4"),
        ({"normalisation": {"bounds": "training_and_validation"}}, "normalisation.bounds: training -> "),
        ({"name": "other", "evaluation": {"cutoff_px": 5}, "repeats": 5}, None),
    ],
)
def test_the_settings_that_divide_a_cohort_are_told_by_name(tmp_path, changed, found):
    study, run = study_of("s"), RunFolder(tmp_path)
    write_text(run.study, dump_study(study))
    add_trial(run, study, TRIAL, np.zeros((1, 4, 4), np.uint16))
    if found is None:
        check_same_folds(study_of("s", **changed), run)
        return
    with pytest.raises(InputError, match="another division") as caught:
        check_same_folds(study_of("s", **changed), run)
    assert caught.value.found.startswith(found) and ";" not in caught.value.found


def test_a_trial_is_compared_with_the_data_of_its_own_fold(tmp_path):
    """The second fold's digest is "b"."""
    study, run, trial = study_of("s", split={"folds": 2}), RunFolder(tmp_path), Trial("pet", 1, 0)
    began = begin(study, trial, "b", device="cpu", precision="fp32")
    none, facts = np.zeros((1, 4, 4), np.uint16), {"identity": began.identity, "settings": began.settings}
    add_trial(run, study, trial, none, **facts)
    by = dict.fromkeys(study.variants, ("cpu", "fp32"))
    check_identities(study, run, by, {0: "a", 1: "b"})
    with pytest.raises(InputError, match="now train otherwise"):
        check_identities(study, run, by, {0: "b", 1: "a"})


def test_repeats_that_are_enough_here_are_those_of_the_same_rule_and_of_variants_that_are_left(tmp_path):
    run, rule = RunFolder(tmp_path), {"max": 8, "until": 0.5, "first": 6}
    study = study_of("s", repeats=rule, variants={"pet": {"modalities": ["pet"]}})
    assert with_enough(study, run) == study, "a new folder"
    for kept, enough in (
        (rule | {"enough": {"pet": 6, "pet_mri": 8}}, {"pet": 6}),
        (rule | {"until": 0.4, "enough": {"pet": 6}}, {}),
        (8, {}),
    ):
        write_text(run.study, dump_study(study_of("s", repeats=kept)))
        assert with_enough(study, run).repeats.enough == enough
        assert with_enough(study_of("s", repeats=9), run) == study_of("s", repeats=9)


@pytest.mark.parametrize("unseen", [None, {"pet": [], "mri": [0]}], ids=["none", "by MRI"])
def test_variants_of_another_modality_are_named_where_other_slices_are_sampled_for_them(tmp_path, unseen):
    """Nothing of what was to be restored had changed. Where all slices are shown, variants come and go."""
    pet, pet_mri = {"pet": {"modalities": ["pet"]}}, {"pet_mri": {"modalities": ["pet", "mri"]}}
    store = make_store(tmp_path / "store", patients=12, unseen=unseen).location
    less, more = (
        study_of(store, training={"epochs": 1}, repeats=1, variants=each) for each in (pet, pet | pet_mri)
    )
    run = train_pet(less, tmp_path / "run").folder
    if not unseen:
        assert make_run_ready(more, run.root).not_completed() == [Trial("pet_mri", 0, 0)]
        return
    with pytest.raises(InputError, match="another division") as caught:
        make_run_ready(more, run.root)
    assert caught.value.found.endswith(
        "; the variants used pet and now use mri and pet: a slice that one of these does not show is sampled for "
        "no variant"
    )
    assert "the variants' modalities" in caught.value.do


def test_a_record_that_holds_what_this_version_does_not_know_is_not_used(tmp_path):
    """Ignored, it could say that the trial is none that a table may hold."""
    study = small_study(("pet",), repeats=1)
    folder = random_run(tmp_path, study).trial("pet-f0-r00")
    write_sealed(folder.record, read_sealed(folder.record) | {"withdrawn": True})
    state = trial_state(folder)
    assert state.status == "missing"
    assert state.reason == "not used: its record holds `withdrawn`, unknown to this version"


ADD = """
from pathlib import Path
from hnscc.study.run_folder import RunFolder
from hnscc.training.provenance import add_invocation
for _ in range(20):
    add_invocation(RunFolder(Path(root)))
"""


def test_no_entry_is_lost_when_processes_append_together(home, tmp_path):
    processes = [Forked(home, exec, ADD, {"root": str(tmp_path)}) for _ in range(4)]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    found = read_invocations(RunFolder(tmp_path))
    assert len(found) == 80
    assert sorted(map(len, _by_process(found).values())) == [20] * 4


def _by_process(found):
    groups = {}
    for each in found:
        groups.setdefault(each.process, []).append(each)
    return groups


def test_one_reader_gives_a_typed_record_that_cannot_be_changed(store, tmp_path):
    study = study_of(store.location, training={"epochs": 1, "patience": 1})
    run = train_pet(study, tmp_path).folder
    record = read_record(run.trial("pet-f0-r00"))
    with pytest.raises(ValueError, match="frozen"):
        record.epochs = 7
    assert json.loads(run.trial("pet-f0-r00").record.read_text())["epochs"] == record.epochs == 1


def test_a_record_of_another_trial_or_without_a_value_is_missing_to_every_reader(store, tmp_path):
    """To `hnscc run` a trial whose record lacked a value was completed; to the tables it was missing."""
    study = study_of(store.location, training={"epochs": 1, "patience": 1}, repeats=2)
    ready = train_pet(study, tmp_path / "run")
    first, second = (ready.folder.trial(f"pet-f0-r0{repeat}") for repeat in (0, 1))
    whole = read_sealed(first.record)
    write_sealed(first.record, {key: value for key, value in whole.items() if key != "best_epoch"})
    write_sealed(second.record, whole)
    assert "lacks `best_epoch`" in trial_state(first).reason
    assert "of another trial" in trial_state(second).reason
    assert {trial.trial_id for trial in ready.not_completed()} >= {"pet-f0-r00", "pet-f0-r01"}
    write_tables(ready.folder)
    status = {row["trial_id"]: row["status"] for row in read_table(ready.folder, "trials").to_pylist()}
    assert status["pet-f0-r00"] == status["pet-f0-r01"] == "missing"
