"""`hnscc check`, and what `hnscc run` refuses as it does: what would be trained and is left, what cannot be run."""

import json
from pathlib import Path

import pytest
import yaml
from commands import refused
from stores import make_store, study_of

import rayjobs.study
from hnscc.base.files import read_sealed, write_sealed
from hnscc.study.identity import identity


def write_study(path: Path, made, **settings) -> Path:
    raw = study_of(made.location).model_dump(mode="json") | settings
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def test_check_refuses_a_folder_that_run_would_refuse(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store)
    for command in ("check", "run"):
        assert "found:      1 file or folder that no run made" in refused(
            hnscc(command, study, "--out", tmp_path)
        )
    assert [each.name for each in tmp_path.iterdir()] == ["study.yaml"]


def test_check_prints_variants_splits_leaks_and_what_is_left(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store)
    code, out, _ = hnscc("check", study, "--out", tmp_path / "run")
    assert code == 0
    for text in (
        "no patient stands in training and test",
        "4 in all; 0 completed",
        "time:    not known",
        "fewer than 5",
    ):
        assert text in out
    found = json.loads(hnscc("check", study, "--out", tmp_path / "run", "--json")[1])
    rows = {row["split"]: row for row in found["splits"]}
    assert sum(row["patients"] for row in rows.values()) == 8
    assert rows["test"]["positive_slices"] == 4
    assert found["variants"]["pet_mri"]["parameters"] == 30_549
    assert found["time"]["hours_left_here"] is None
    assert not (tmp_path / "run").exists(), "check writes nothing"
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(hnscc("check", study, "--resolved")[1])
    again = json.loads(hnscc("check", resolved, "--out", tmp_path / "run", "--json")[1])
    assert again == found


def test_the_check_of_a_search_says_that_the_test_set_is_closed_and_no_more_of_it(hnscc, store, tmp_path):
    search = {
        "method": "random",
        "ranges": {
            "training.learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
            "training.network": [
                {"architecture": "unet", "encoder": "resnet18"},
                {"architecture": "paper", "width": 4},
            ],
        },
        "configurations": 4,
        "budget": {"trials": 40},
    }
    raw = study_of(store.location).model_dump(mode="json", exclude={"variants"})
    raw |= {
        "modalities": ["pet", "mri"],
        "search": search,
        "sampling": {"negatives": "any_scan", "ratio": 9.0},
    }
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(raw))
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    found = json.loads(out)
    assert [row["split"] for row in found["splits"]] == ["train", "validation"]
    assert any("training: " in line and "slices without lesion wanted" in line for line in found["warnings"])
    assert not any("test: " in line for line in found["warnings"])
    closed = [line for line in found["leakage_checks"] if "closed" in line]
    assert len(closed) == 1 and "test patients of fold f0" in closed[0]
    shown = " ".join(hnscc("check", study, "--out", tmp_path / "run")[1].split())
    assert closed[0] in shown
    assert "training.learning_rate: {low: 0.0001, high: 0.1, log: true}" in shown
    assert (
        "training.network: [{architecture: unet, encoder: resnet18}, {architecture: paper, width: 4}]"
        in shown
    )
    assert found["leakage_checks"][:-1] == found["proven"], (
        "what bounds come from is told, and proves nothing"
    )
    assert all(f"ok: {line}" in shown for line in found["proven"])
    assert found["leakage_checks"][-1] in shown and f"ok: {found['leakage_checks'][-1]}" not in shown


@pytest.mark.parametrize("threads, cpus, told", [(2, 1, True), (2, 2, False), (1, 0.5, False), (3, 2, True)])
def test_more_threads_than_reserved_cores_are_told(hnscc, store, tmp_path, threads, cpus, told):
    """A trial of 100 threads that reserves one core had two of them side by side on two cores, without a word."""
    made = study_of(store.location, training={"threads": threads}, resources={"cpus": cpus})
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(made.model_dump(mode="json")))
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    said = f"computes with {threads} threads (training.threads) and reserves {cpus} of a machine's cores"
    assert any(said in line for line in json.loads(out)["warnings"]) == told


@pytest.mark.parametrize(
    "paired, differ", [(False, "the seeds of their repeats alone"), (True, "nothing, for")]
)
def test_variants_of_the_same_settings_are_told(hnscc, store, tmp_path, paired, differ):
    """They were compared as if they differed, without a word."""
    pet = study_of(store.location).variants["pet"].model_dump(mode="json")
    variants = {"pet": pet, "again": pet, "both": pet | {"modalities": ["pet", "mri"]}}
    repeats = {"number": 2, "paired": True} if paired else 2
    study = write_study(tmp_path / "study.yaml", store, variants=variants, repeats=repeats)
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    told = [line for line in json.loads(out)["warnings"] if "same settings" in line]
    assert len(told) == 1
    assert told[0].startswith(f"variants pet and again have the same settings: they differ in {differ}")


def test_a_batch_larger_than_what_a_fold_trains_on_is_told(hnscc, store, tmp_path):
    """An epoch was one incomplete step, without a word."""
    made = study_of(store.location).model_dump(mode="json")
    made["split"] = {"folds": 2}
    first, second = made["variants"].values()
    first["training"]["batch_size"] = 1000
    second["training"]["batch_size"] = 2
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(made, sort_keys=False))
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    found = json.loads(out)
    trained = [row for row in found["splits"] if row["split"] == "train"]
    counts = sorted(row["positive_slices"] + row["negative_slices"] for row in trained)
    count = f"{counts[0]} to {counts[1]}" if counts[0] < counts[1] else f"{counts[0]}"
    assert [line for line in found["warnings"] if "single step" in line] == [
        f"all 2 folds: training of pet: an epoch is a single step, of {count} slices in place of 1000 "
        "(training.batch_size)"
    ]


def test_what_several_folds_warn_of_is_told_once(hnscc, store, tmp_path):
    """Five folds had each of four warnings printed five times, under what they are about."""
    study = write_study(tmp_path / "study.yaml", store, split={"folds": 3}, sampling={"ratio": 9.0})
    code, out, error = hnscc("check", study, "--out", tmp_path / "run", "--json")
    assert code == 0, error
    told = [line for line in json.loads(out)["warnings"] if "slices without lesion wanted" in line]
    assert [line.split(":")[:2] for line in told] == [
        ["all 3 folds", f" {split}"] for split in ("training", "validation", "test")
    ]


def test_check_times_what_is_left_by_what_is_done(hnscc, store, tmp_path):
    from hnscc.commands.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    for trial in ("pet-f0-r00", "pet_mri-f0-r00"):
        train([str(study), trial, "--out", str(tmp_path / "run")])
    found = json.loads(
        hnscc("check", study, "--out", tmp_path / "run", "--json")[1].partition("\n{")[2].join(["{", ""])
    )
    assert found["trials"] == {"in_all": 4, "completed": 2, "missing": 2}
    seconds = found["time"]["seconds_per_trial"]
    assert found["time"]["trial_seconds_left"] == pytest.approx(sum(seconds.values()), abs=0.2)
    at_once = found["time"]["side_by_side"]
    text = " ".join(hnscc("check", study, "--out", tmp_path / "run")[1].split())
    rounds = "2 rounds, the last of 1 trial" if at_once == 1 else "1 round, the last of 2 trials"
    assert f"2 trials, at most {at_once} side by side: {rounds}" in text


def test_check_tells_trained_trials_that_only_predict_again(hnscc, tmp_path):
    """Of single slices first, then every slice is evaluated: 2 trials wait for 4 test and 4 validation slices each."""
    from hnscc.commands.train import main as train

    made = make_store(tmp_path / "store", patients=10, size=16)
    settings = {"variants": {"pet": {"modalities": ["pet"]}}, "sampling": {"max_positive": 8}, "repeats": 3}
    study = write_study(tmp_path / "study.yaml", made, **settings, evaluation={"slices": "sampled"})
    run = ("--out", tmp_path / "run")
    for repeat in (0, 1):
        assert train([str(study), f"pet-f0-r0{repeat}", *map(str, run)]) == 0
    asked = ("check", study, *run, "--half-width", "0.05")
    assert "2 completed, 0 failed, 1 missing" in (out := hnscc(*asked)[1]) and "from 2 with SD" in out
    write_study(study, made, **settings, evaluation={"slices": "all"})
    code, out, error = hnscc(*asked)
    assert code == 0, error
    text = " ".join(out.split())
    assert "3 in all; 0 completed, 0 failed, 3 missing" in text
    assert "2 of the missing are not trained again" in text
    assert "pet: not known, 2 trained trials predict the slices first" in text and "a pilot" not in text
    found = json.loads(hnscc(*asked, "--json")[1])
    assert found["to_predict"]["trials"] == ["pet-f0-r00", "pet-f0-r01"]
    assert found["to_predict"]["variants"] == ["pet"]
    split = {each["split"]: each for each in found["splits"]}
    whole = {name: 4 * each["patients"] for name, each in split.items() if name != "train"}  # 4 slices a scan
    assert {name: split[name]["scored_slices"] for name in whole} == whole
    used = split["train"]["positive_slices"] + split["train"]["negative_slices"]
    assert split["train"]["scored_slices"] == used
    assert found["to_predict"]["slices"] == 2 * (sum(whole.values()) + used)
    assert found["time"]["trials_left"] == 1, "one is trained"
    assert found["time"]["trial_seconds_left"] == found["time"]["seconds_per_trial"]["pet"]
    assert found["repeats_for_width"]["variants"]["pet"]["repeats"] is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sede": 1}, "sede"),
        ({"variants": {"ct": {"modalities": ["ct"]}}}, "variants.ct.modalities"),
        ({"split": {"folds": 20}}, "too small to split"),
        ({"store": "nowhere.zarr"}, "nowhere.zarr"),
        (
            {
                "training": {"network": {"architecture": "unett", "encoder": "resnet18"}},
                "variants": {"pet": {"modalities": ["pet"]}},
            },
            "unett",
        ),
    ],
)
def test_bad_studies_are_refused_before_ray_starts(hnscc, store, tmp_path, monkeypatch, settings, named):
    """All but a network that cannot be built, for which PyTorch loads beside Ray."""
    if named != "unett":
        monkeypatch.setattr(rayjobs.study, "connected", lambda address: pytest.fail("Ray was started"))
    study = write_study(tmp_path / "study.yaml", store, **settings)
    assert named in refused(hnscc("check", study))
    assert named in refused(hnscc("run", study, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_changed_study_is_refused_by_check_too(hnscc, store, tmp_path):
    from hnscc.commands.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    train([str(study), "pet-f0-r00", "--out", str(tmp_path / "run")])
    hnscc("--version")  # what training printed is not of interest
    write_study(study, store, seed=1)
    assert "seed: 2023 -> 1" in refused(hnscc("check", study, "--out", tmp_path / "run"))
    write_study(study, store, variants={"other": {"modalities": ["pet"]}}, seed=1)
    for command in ("check", "run"):
        error = refused(hnscc(command, study, "--out", tmp_path / "run"))
        assert "seed: 2023 -> 1" in error, "a trained trial's fold is not replaced"
    raw = study_of(store.location).model_dump(mode="json")
    raw["variants"]["pet"]["training"]["epochs"] = 4
    study.write_text(yaml.safe_dump(raw))
    assert "training.epochs: 3 -> 4" in refused(hnscc("check", study, "--out", tmp_path / "run"))


@pytest.mark.slow  # `run` starts Ray
def test_check_names_the_trials_of_other_versions(hnscc, store, tmp_path):
    """Refused, as `run` would refuse them, unless they are accepted."""
    from hnscc.commands.train import main as train

    study = write_study(tmp_path / "study.yaml", store)
    train([str(study), "pet-f0-r00", "--out", str(tmp_path / "run")])
    hnscc("--version")  # what training printed is not of interest
    out = ("--out", tmp_path / "run")
    assert json.loads(hnscc("check", study, *out, "--json")[1])["other_versions"] == []
    path = tmp_path / "run/trials/pet-f0-r00/record.json"
    record = read_sealed(path)
    here = record["settings"]["versions"]["torch"]
    record["settings"]["versions"]["torch"] = "0.1"
    write_sealed(path, record | {"identity": identity(record["settings"])})
    for command in ("check", "run"):
        error = refused(hnscc(command, study, *out))
        assert "pet-f0-r00" in error and f"torch: 0.1 -> {here}" in error
    code, text, _ = hnscc("check", study, *out, "--accept-versions")
    assert code == 0 and f"versions: pet-f0-r00 trained by others (torch: 0.1 -> {here})" in text
    found = json.loads(hnscc("check", study, *out, "--accept-versions", "--json")[1])
    assert found["other_versions"] == [{"differ": f"torch: 0.1 -> {here}", "trials": ["pet-f0-r00"]}]


def test_a_run_folder_that_cannot_be_made_is_refused(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store)
    assert "cannot be made" in refused(hnscc("run", study, "--out", study))


def test_a_store_that_is_not_there_says_from_where_its_path_counts(hnscc, store, tmp_path):
    study = write_study(tmp_path / "study.yaml", store, store="data/none.zarr")
    assert "Check the path (relative to the working directory)" in refused(hnscc("check", study))
    write_study(study, store, store=f"{tmp_path}/none.zarr")
    assert "Check the path, or make the store" in refused(hnscc("check", study))


def test_a_cohort_too_small_is_refused(hnscc, tmp_path):
    study = write_study(tmp_path / "study.yaml", make_store(tmp_path, patients=4))
    assert "too small to split" in refused(hnscc("check", study))


def test_what_comes_next_goes_on_in_the_folder_that_was_asked_about(hnscc, store, tmp_path):
    study, other = write_study(tmp_path / "study.yaml", store), tmp_path / "other"
    for out in ((), ("--out", other)):
        printed = "".join(hnscc("check", study, *out)[1].split())
        assert printed.endswith("".join(map(str, ("next:hnsccrun", study, *out))))
