"""`hnscc prepare` ends with a table of the cohort; the store keeps it, and check and the report repeat what is odd."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from reports import store_run
from scans import save, scan_arrays, write
from stores import study_of

import hnscc as functions
from hnscc.base.console import Console
from hnscc.cohort.fold import read_folds, write_fold
from hnscc.cohort.splits import divide_cohort
from hnscc.cohort.store import Store, open_store, verify_store
from hnscc.commands.check import check_study
from hnscc.commands.prepared_cohort import odd_about, odd_by_scan, print_cohort


def arrays(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PET, MRI and mask of a scan; no two slices of PET end at one highest value."""
    pet, mri, mask = scan_arrays(seed)
    return pet * np.linspace(1, 1.2, 5, dtype=np.float32), mri, mask


def twelve_scans(folder: Path) -> Path:
    """Every other has a lesion; the PET of the third is in another unit of values."""
    rows = [["patient_id", "scan_id", "pet", "mri", "mask"]]
    for number in range(12):
        pet, mri, mask = arrays(number)
        of = folder / "Jane_Doe"
        write(of / f"{number}-pet.nii", pet * (5000 if number == 2 else 1))
        write(of / f"{number}-mri.nii", mri)
        write(of / f"{number}-mask.nii", mask)
        cells = [f"Jane_Doe/{number}-{name}.nii" for name in ("pet", "mri", "mask")]
        rows.append([f"P{number:02d}", f"S{number:02d}", *cells[:2], cells[2] if number % 2 else ""])
    return save(folder, rows)


@pytest.fixture
def manifest(tmp_path) -> Path:
    return twelve_scans(tmp_path)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Of the twelve scans, accepted as they are; for all tests here that change nothing in it."""
    folder = tmp_path_factory.mktemp("twelve")
    options = {"size": 32, "workers": 1, "accept_odd": "known"}
    return functions.prepare(twelve_scans(folder), folder / "s.zarr", **options)


def test_prepare_ends_with_a_table_of_the_cohort(hnscc, manifest, tmp_path):
    code, _, error = hnscc("prepare", manifest, tmp_path / "s.zarr", "--workers", 1, "--size", 16)
    assert code == 2 and "pet cannot be in one unit of values with 11 others" in error and "Jane" not in error
    assert not (tmp_path / "s.zarr").exists()
    reason = ("--accept-odd", "a phantom of another centre")
    code, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", "--workers", 1, "--size", 16, *reason)
    assert code == 0 and "Jane" not in out
    row = next(line for line in out.splitlines() if "S01" in line)
    pet, mri, _ = arrays(1)
    for data in (pet, mri):
        assert f"{data.min():.4g} .. {data.max():.4g}" in row
    # 8 x 7 x 3 voxels of 1 x 1 x 3 mm, of 20 x 16 x 5.
    assert "0.504" in row and "10.5%" in row and "100%" in row and "sform" in row and "ok" in row
    assert "no mask" in next(line for line in out.splitlines() if "S00" in line)
    assert "accepted as it is, with the reason: a phantom of another centre" in out


def test_the_same_stands_in_the_store_and_in_json(hnscc, manifest, tmp_path):
    options = ("--workers", 1, "--size", 16, "--accept-odd", "known", "--json")
    _, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", *options)
    facts = json.loads(out)
    assert [each["scan_id"] for each in facts["cohort"]] == [f"S{number:02d}" for number in range(12)]
    third = facts["cohort"][2]
    pet = arrays(2)[0] * 5000
    assert third["values"]["pet"]["median"] == pytest.approx(np.median(pet), rel=1e-6)
    assert len(third["odd"]) == 1 and "cannot be in one unit of values" in third["odd"][0]
    store = open_store(tmp_path / "s.zarr")
    assert list(store.odd) == facts["odd"] and verify_store(store) == 60


def test_a_scan_that_a_sentence_on_the_cohort_names_is_not_ok(hnscc, manifest, tmp_path):
    """Three masks are outlines alone, which one sentence tells of all three."""
    for number in (1, 3, 5):
        _, _, mask = arrays(number)
        at = np.argwhere(mask)
        low, high = at.min(axis=0) + 2, at.max(axis=0) - 1
        mask[low[0] : high[0], low[1] : high[1]] = 0
        write(tmp_path / "Jane_Doe" / f"{number}-mask.nii", mask)
    options = ("--workers", 1, "--size", 16, "--accept-odd", "known")
    _, out, _ = hnscc("prepare", manifest, tmp_path / "s.zarr", *options)
    assert "in 3 scans (S01, S03, S05)" in " ".join(out.split())
    facts = json.loads(hnscc("prepare", manifest, tmp_path / "t.zarr", *options, "--json")[1])
    verdicts = {each["scan_id"]: each["odd"] for each in facts["cohort"]}
    assert all("one of several, told of the cohort" in verdicts[name] for name in ("S01", "S03", "S05"))
    assert "one of several, told of the cohort" not in verdicts["S07"]


def test_of_two_sentences_on_several_scans_each_says_once_that_it_is_one():
    odd = [{"scan_id": None, "text": text, "among": ["S1", "S2"], "files": ["pet"]} for text in ("a", "b")]
    store = SimpleNamespace(placed={"odd": [*odd, {"scan_id": "S1", "text": "c", "files": ["pet"]}]})
    several = "one of several, told of the cohort"
    assert odd_by_scan(store) == {None: ["a", "b"], "S1": [several, "c"], "S2": [several]}
    assert odd_about(store, "S1", "pet") == [several, "c"] and odd_about(store, "S1", "mri") == []


def test_check_repeats_what_is_odd(hnscc, store, tmp_path):
    study = study_of(store.location)
    assert check_study(study, tmp_path / "run")["odd"] == list(store.odd)
    (tmp_path / "study.yaml").write_text(
        f"name: odd\nstore: {store.location}\nrepeats: 1\ntraining: {{device: cpu}}\n"
        "variants: {pet: {modalities: [pet]}}\n"
    )
    code, out, _ = hnscc("check", tmp_path / "study.yaml", "--out", tmp_path / "run")
    assert code == 0
    assert "data: scan S02: pet cannot be in one unit of values with 11 others" in out
    assert "data: accepted as it is, with the reason: known" in out


def test_the_fold_keeps_what_is_odd(store, tmp_path):
    """For the report, which reads the run folder alone."""
    run, _ = store_run(tmp_path)
    study = study_of(store.location)
    division = divide_cohort(store, study, 0)
    write_fold(run.fold(0), store, division, read_folds(store, study, [division])[0], replace=True)
    assert json.loads(run.fold(0).split.read_text())["odd"] == list(store.odd)


def test_stores_of_before_print_no_table(tmp_path, capsys):
    _, study = store_run(tmp_path)
    store = open_store(study.store)
    assert store.odd == () and verify_store(store) == 72
    print_cohort(store, Console())
    assert capsys.readouterr().out == ""
