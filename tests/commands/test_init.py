"""`hnscc init`: a study file that fits its store as it is, can be followed to tables, and never replaces a file."""

import pytest
from commands import refused
from scans import scan_arrays, write
from stores import changed_store, make_store
from trained_runs import train_to_tables

import hnscc as package
from hnscc.cohort.store_format import PAGE
from hnscc.study.loading import load_study
from hnscc.training.ready import make_run_ready


def test_the_study_is_checked_and_trained_to_its_tables(hnscc, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = hnscc("init", store.location, "mine.yaml")
    assert code == 0 and "hnscc check mine.yaml" in out
    code, out, _ = hnscc("check", "mine.yaml")
    assert code == 0 and "20 in all; 0 completed" in out
    text = (tmp_path / "mine.yaml").read_text()
    study = load_study("mine.yaml")
    assert {name: each.modalities for name, each in study.variants.items()} == {
        "pet": ("pet",),
        "mri": ("mri",),
        "pet_mri": ("pet", "mri"),
        "pet_mri_augmented": ("pet", "mri"),
    }
    # As a user would make it small.
    short = text.replace("epochs: 40, patience: 40", "epochs: 1, patience: 1, device: cpu")
    short = short.replace("repeats: 5", "repeats: 1").replace("unet, encoder: resnet18", "paper, width: 2")
    assert short.count("_augmented") == 1
    (tmp_path / "mine.yaml").write_text(
        "\n".join(line for line in short.splitlines() if "pet_mri" not in line)
    )
    study = load_study("mine.yaml")
    train_to_tables(make_run_ready(study, tmp_path / "run"))
    trials = package.tables(tmp_path / "run")["trials"].to_pydict()
    assert trials["status"] == ["completed"] * 2 and sorted(trials["variant"]) == ["mri", "pet"]


def test_a_file_that_is_there_stays(hnscc, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cohort.yaml").write_text("mine\n")
    assert "never replaced" in refused(hnscc("init", store.location))
    assert (tmp_path / "cohort.yaml").read_text() == "mine\n"
    (tmp_path / "there.yaml").symlink_to("nowhere.yaml")
    refused(hnscc("init", store.location, "there.yaml"))
    assert not (tmp_path / "nowhere.yaml").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_what_is_no_store_is_told_the_way_to_one(hnscc, tmp_path, kind):
    there = tmp_path / "exports"
    if kind == "folder":
        there.mkdir()
        (there / PAGE).write_text("")
    elif kind == "file":
        there.write_text("patient_id,scan_id\n")
    error = refused(hnscc("init", there, tmp_path / "mine.yaml"))
    assert "hnscc scan FOLDER --manifest" in error and "hnscc prepare" in error
    assert not (tmp_path / "mine.yaml").exists()


def test_a_cohort_that_cannot_be_split_has_no_study(hnscc, tmp_path):
    few = make_store(tmp_path, patients=4)
    assert "too small to split" in refused(hnscc("init", few.location, tmp_path / "mine.yaml"))
    assert not (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize("size, sizes", [(24, "16 or 32"), (8, "16")])
def test_slices_that_no_network_takes_are_to_be_prepared_again(hnscc, tmp_path, size, sizes):
    """`init` has no option for another network, which `hnscc check` advises."""
    store = make_store(tmp_path, patients=10, size=size)
    error = " ".join(refused(hnscc("init", store.location, tmp_path / "mine.yaml")).split())
    assert (
        f"a multiple of 16 found: {size} what to do: prepare the store again with --size {sizes}, and"
        in error
    )
    assert "another architecture" not in error and not (tmp_path / "mine.yaml").exists()
    again = make_store(tmp_path / "again", patients=10, size=16)
    assert hnscc("init", again.location, tmp_path / "mine.yaml")[0] == 0


def test_the_study_suits_the_cohort(tmp_path):
    """Many patients: each is tested once. Slices that no encoder takes: the paper's network. Splits that the manifest
    fixes: none of the study's own."""
    many = make_store(tmp_path / "many", patients=20, slices=2, size=16)
    study = load_study(package.init(many.location, tmp_path / "sub" / "many 1-b.yaml"))
    assert study.name == "many_1_b" and study.split.folds == 5
    assert study.training.network.architecture == "paper"
    assert study.sampling.negatives == "lesion_free_scans"
    splits = [("train", "validation", "test")[number // 2 % 3] for number in range(20)]
    patients = sorted({scan.patient_id for scan in many.scans})
    fixed = changed_store(many, tmp_path, dict(zip(patients, splits, strict=True)))
    assert "split:" not in package.init(fixed.location, tmp_path / "fixed.yaml").read_text()


def test_a_folder_of_scans_gets_a_manifest_and_a_study_that_is_checked(hnscc, tmp_path, monkeypatch):
    """The two commands that `init` names lead to trials, without a word changed in either file."""
    monkeypatch.chdir(tmp_path)
    for patient in range(9):
        for name, values in zip(("pet", "mri", "mask"), scan_arrays(patient), strict=True):
            if name != "mask" or patient:
                write(tmp_path / "SECRET" / f"P{patient}" / f"{name}.nii", values)
    code, out, error = hnscc("init", "SECRET", "mine.yaml")
    assert code == 0 and "wrote mine.csv" in out and "wrote mine.yaml" in out, error
    first, second = (
        out.partition(word)[2].split("\n")[0].split() for word in ("hnscc prepare ", "then:  hnscc ")
    )
    assert (first, second) == (["mine.csv", "mine.zarr"], ["check", "mine.yaml"])
    assert "FILL-IN" in (tmp_path / "mine.csv").read_text() and "FILL-IN: write a mask there, or none" in out
    (tmp_path / "mine.csv").write_text((tmp_path / "mine.csv").read_text().replace("FILL-IN", "none"))
    code, _, error = hnscc("prepare", *first, "--size", 32, "--workers", 1, "--accept-odd", "noise")
    assert code == 0, error
    code, shown, error = hnscc(*second)
    assert code == 0 and "in all; 0 completed" in shown, error
    said = load_study("mine.yaml")
    assert (said.store, list(said.variants)) == ("mine.zarr", ["pet", "mri", "pet_mri", "pet_mri_augmented"])
    there = " ".join(refused(hnscc("init", "SECRET", "mine.yml")).split())
    assert "The manifest is there already" in there
    assert "go on with that file: hnscc prepare mine.csv mine.zarr" in there and "hnscc check" not in there
    for text in (out, error, (tmp_path / "mine.yaml").read_text()):
        assert "SECRET" not in text


def test_a_folder_of_scans_of_which_none_can_be_prepared_leaves_nothing(hnscc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "P1_pet.nii").write_bytes(b"none")
    assert "No scan of the folder can be prepared" in refused(hnscc("init", "in"))
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_of_several_files_of_a_folder_the_preferred_one_is_taken(hnscc, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pet_a", "pet_b"):
        write(tmp_path / "in" / "P1" / f"{name}.nii", scan_arrays()[0])
    assert "`--prefer PATTERN` says which" in " ".join(refused(hnscc("init", "in")).split())
    code, _, error = hnscc("init", "in", "--prefer", "pet_b*")
    assert code == 0 and "in/P1/pet_b.nii" in (tmp_path / "study.csv").read_text(), error
    package.init("in", "other.yaml", prefer=["pet_a*"])
    assert "in/P1/pet_a.nii" in (tmp_path / "other.csv").read_text()
    assert "a folder of scans" in refused(hnscc("init", store.location, "x.yaml", "--prefer", "pet*"))
    assert "preferred" not in refused(hnscc("init", "nowhere", "x.yaml", "--prefer", "pet*"))


@pytest.mark.parametrize("name", ["mine.csv", "mine.zarr"])
def test_a_study_that_is_called_as_its_manifest_or_store_is_refused(hnscc, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in" / "P1_pet.nii", scan_arrays()[0])
    assert "give mine.yaml" in refused(hnscc("init", "in", name))
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("patients, folds", [(2, 1), (10, 5)])
def test_patients_of_whom_no_mask_is_known_yet_may_have_a_lesion(tmp_path, monkeypatch, patients, folds):
    monkeypatch.chdir(tmp_path)
    for patient in range(patients):
        write(tmp_path / "in" / f"P{patient}_pet.nii", scan_arrays(patient)[0])
    study = package.init("in")
    text = study.read_text()
    assert f"0 of {patients} patients have a mask so far" in text and "0 have a lesion" not in text
    assert load_study(study).split.folds == folds


def test_where_the_study_cannot_be_written_no_manifest_is_left(hnscc, tmp_path):
    """It was left behind, and the same command then refused to go on beside it."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "P01_pet.nii.gz", scan_arrays(0)[0])
    # With .csv it is as long as a file's name may be while it is written.
    long = tmp_path / "out" / f"{'x' * 229}.yaml"
    assert "File name too long" in refused(hnscc("init", tmp_path / "in", long))
    assert [*(tmp_path / "out").iterdir()] == []
    hnscc("init", tmp_path / "in", long.with_name(long.name[1:]))
    assert len([*(tmp_path / "out").iterdir()]) == 2


def test_a_manifest_in_place_of_a_store_is_told_what_makes_one(hnscc, tmp_path):
    (tmp_path / "manifest.csv").write_text("patient_id,scan_id,pet,mask\n")
    assert "found:      a file\n  what to do: make one of a manifest: `hnscc prepare" in refused(
        hnscc("init", tmp_path / "manifest.csv", tmp_path / "x.yaml")
    )
    text = refused(hnscc("check", tmp_path / "manifest.csv"))
    assert "found:      text or a number alone\n  what to do: name a study file;" in text
