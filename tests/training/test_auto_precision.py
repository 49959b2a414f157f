"""What `precision: auto` stands for is chosen once for a run folder, and kept in precision.json."""

import numpy as np
import pytest
from run_folders import add_failure, add_trial
from stores import make_store, study_of
from trials import train_pet, train_trial

from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial
from hnscc.training.earlier import choose_devices, keep_precision
from hnscc.training.ready import make_run_ready
from hnscc.training.records import newest_facts, read_record

TRIAL = Trial("pet", 0, 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def automatic(store):
    return study_of(store.location, training={"precision": "auto", "epochs": 4, "patience": 4})


def resolved(precision):
    return lambda training: ("cpu", precision if training.precision == "auto" else training.precision)


def test_auto_precision_is_one_for_the_whole_folder_before_any_trial(store, tmp_path):
    """By variant and by its first completed trial, a folder begun in bf16 went on in fp32 for the others."""
    study = automatic(store)
    first = make_run_ready(study, tmp_path / "run", resolve=resolved("bf16"))
    assert set(first.computed_by.values()) == {("cpu", "bf16")}
    elsewhere = make_run_ready(study, tmp_path / "run", resolve=resolved("fp32"))
    assert elsewhere.computed_by == first.computed_by


def test_a_number_format_that_is_given_stays_beside_auto_and_is_not_what_auto_stands_for(store, tmp_path):
    variants = {
        "auto": {"modalities": ["pet"]},
        "given": {"modalities": ["pet"], "training": {"precision": "fp32"}},
    }
    study = study_of(store.location, training={"precision": "auto"}, variants=variants)
    expected = {"auto": ("cpu", "bf16"), "given": ("cpu", "fp32")}
    for now in ("bf16", "fp32"):
        run = make_run_ready(study, tmp_path / "run", resolve=resolved(now))
        assert run.computed_by == expected
        assert read_sealed(run.folder.precision) == {"cpu": "bf16"}
    alone = study_of(store.location, variants={"given": variants["given"]})
    assert not make_run_ready(alone, tmp_path / "alone", resolve=resolved("fp32")).folder.precision.exists()


def test_a_checkpoint_is_gone_on_from_where_auto_would_now_be_another(store, tmp_path):
    study = automatic(store)
    first = make_run_ready(study, tmp_path / "run", resolve=resolved("fp32"))
    folder = first.folder.trial(TRIAL.trial_id)
    rows = train_trial(study, TRIAL, first.folds[0], folder, device="cpu", precision="fp32")
    next(rows)
    rows.close()
    assert newest_facts(folder).epoch == 1
    elsewhere = make_run_ready(study, tmp_path / "run", resolve=resolved("bf16"))
    device, precision = elsewhere.computed_by["pet"]
    list(train_trial(study, TRIAL, elsewhere.folds[0], folder, device=device, precision=precision))
    attempts = read_record(folder).attempts
    assert [each.from_epoch for each in attempts] == [1, 2] and attempts[1].not_used == ()


def test_a_folder_of_before_goes_on_by_what_its_first_trial_was(store, tmp_path):
    study = automatic(store)
    run = train_pet(study, tmp_path / "run").folder
    was = read_record(run.trial("pet-f0-r00")).precision
    run.precision.unlink()
    other = {"bf16": "fp32", "fp32": "bf16"}[was]
    assert set(make_run_ready(study, run.root, resolve=resolved(other)).computed_by.values()) == {
        ("cpu", was)
    }


def test_what_auto_stands_for_in_a_folder_of_before_is_of_the_first_trial_that_auto_trained(tmp_path):
    """Not of one whose format was given, of a failed one, or of a later one. What the other device has stays."""
    variants = {
        "given": {"modalities": ["pet"], "training": {"precision": "fp32"}},
        "auto": {"modalities": ["pet"]},
    }
    study = study_of("s", training={"precision": "auto"}, variants=variants, repeats=3)
    run, none = RunFolder(tmp_path), np.zeros((1, 4, 4), np.uint16)
    add_trial(run, study, Trial("given", 0, 0), none, precision="fp32")
    add_failure(run, Trial("auto", 0, 0), "ValueError: no")  # in fp32, as its helper writes it
    add_trial(run, study, Trial("auto", 0, 1), none, precision="bf16")
    add_trial(run, study, Trial("auto", 0, 2), none, precision="fp32")
    chosen = choose_devices(study, run, resolved("fp32"))
    assert chosen == {"given": ("cpu", "fp32"), "auto": ("cpu", "bf16")}
    write_sealed(run.precision, {"cuda": "fp32"})
    keep_precision(study, run, chosen)
    assert read_sealed(run.precision) == {"cuda": "fp32", "cpu": "bf16"}


def test_a_damaged_precision_json_is_refused_and_the_advice_works(store, tmp_path):
    """It was guessed: by no trained trial, a folder begun in bf16 went on in fp32."""
    study = automatic(store)
    run = make_run_ready(study, tmp_path / "run", resolve=resolved("bf16")).folder
    run.precision.write_text(run.precision.read_text().replace("bf16", "fp32"))
    for prepare in (
        make_run_ready,
        lambda study, root, resolve: choose_devices(study, RunFolder(root), resolve),
    ):
        with pytest.raises(InputError, match=r"`precision: auto` stands for is damaged") as refused:
            prepare(study, run.root, resolve=resolved("bf16"))
        assert "precision.json" in refused.value.where and "delete it" in refused.value.do
    write_sealed(run.precision, {"cpu": "fp8"})
    with pytest.raises(InputError, match=r"`precision: auto` stands for is damaged"):
        choose_devices(study, run, resolved("bf16"))
    run.precision.unlink()
    assert make_run_ready(study, run.root, resolve=resolved("bf16")).computed_by["pet"] == ("cpu", "bf16")
