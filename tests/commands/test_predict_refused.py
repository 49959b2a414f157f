"""`hnscc predict`: what it refuses, and that it then writes nothing."""

import json
import shutil

import pytest
from commands import refused
from scans import change
from trained_runs import scan_of, write_scans

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, sha256, write_sealed
from hnscc.study.run_folder import RunFolder


@pytest.fixture
def asked(hnscc, trained, tmp_path):
    """Run `hnscc predict` on one sound scan, of another run folder or with more options where they are given."""
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})

    def ask(*options, run=trained.root, table=manifest, out=tmp_path / "out"):
        result = hnscc("predict", run, table, "--out", out, *options)
        assert not [each for each in tmp_path.iterdir() if ".unfinished" in each.name]
        assert result[0] == 0 or not (tmp_path / "out").exists()
        return result

    return ask


def test_what_is_no_finished_run_is_refused(asked, trained, finished, tmp_path):
    assert "not a run folder" in refused(asked(run=tmp_path))
    unfinished = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, unfinished.root)
    shutil.rmtree(unfinished.trial("pet-f1-r01").root)
    write_tables(unfinished)
    error = refused(asked("--variant", "pet", run=unfinished.root))
    assert "may still be another" in error and "1 of 4 trials missing" in error
    assert asked("--variant", "pet_mri", run=unfinished.root)[0] == 0
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(unfinished.tables)
    assert "no tables yet" in refused(asked(run=unfinished.root))
    unbounded = RunFolder(tmp_path / "unbounded")
    shutil.copytree(finished, unbounded.root)
    split = unbounded.fold(0).split
    write_sealed(split, read_sealed(split) | {"bounds": {}})
    assert "bounds" in refused(asked("--variant", "pet", run=unbounded.root))


def test_weights_that_are_gone_or_damaged_are_refused(asked, trained, tmp_path):
    assert asked("--variant", "pet_mri")[0] == 0
    facts = json.loads((tmp_path / "out" / "predictions.json").read_text())
    shutil.rmtree(tmp_path / "out")
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    weights = run.trial(facts["trials"][0]).weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    error = refused(asked("--variant", "pet_mri", run=run.root))
    assert "is damaged" in error and "move" not in error, (
        "`hnscc run` trains it again, with its folder in place"
    )
    weights.unlink()
    error = refused(asked("--variant", "pet_mri", run=run.root))
    assert "no such file" in error and "hnscc aggregate" not in error, "tables made again would name it again"
    assert "move the trial's folder away" in error, (
        "`hnscc run` takes it for completed, as after `hnscc prune`"
    )
    shutil.copy(trained.trial(facts["trials"][0]).weights, weights)
    assert asked("--variant", "pet_mri", run=run.root)[0] == 0
    shutil.rmtree(tmp_path / "out")
    another = next(each for each in run.recorded if each.trial_id.startswith("pet-"))
    record = read_sealed(run.trial(facts["trials"][0]).record)
    weights.write_bytes(another.weights.read_bytes())
    files = record["files"] | {weights.name: sha256(weights.read_bytes())}
    write_sealed(run.trial(facts["trials"][0]).record, record | {"files": files})
    error = refused(asked("--variant", "pet_mri", run=run.root))
    assert "another training" in error and f"`hnscc aggregate {run.root}`" in error


def test_what_does_not_fit_the_study_is_refused(asked, tmp_path):
    error = refused(asked("--variant", "ct"))
    assert "no such variant" in error and "one of pet, pet_mri" in error
    lacking = write_scans(tmp_path / "lacking", {"a": {"pet": scan_of(1)["pet"]}})
    error = refused(asked("--variant", "pet_mri", table=lacking))
    assert "no mri among pet" in error and "a variant that does without it" in error
    assert asked("--variant", "pet", table=lacking)[0] == 0


def test_only_what_the_variant_needs_is_looked_for(asked, tmp_path):
    """The slices lie on the grid of the PET, so every variant needs it; only one needs MRI."""
    table = write_scans(tmp_path / "some", {"a": scan_of(1), "b": scan_of(3)})
    change(change(table, 2, "mri", ""), 3, "mri", "no/such.nii.gz")
    assert asked("--variant", "pet", table=table)[0] == 0
    shutil.rmtree(tmp_path / "out")
    error = refused(asked("--variant", "pet_mri", table=table))
    assert "2 faults were found" in error and "row 2, scan a, column mri" in error
    assert "row 3, scan b, column mri" in error and "column pet" not in error
    change(table, 3, "pet", "")
    assert "row 3, scan b, column pet" in refused(asked("--variant", "pet", table=table))
    only_mri = write_scans(tmp_path / "mri", {"a": {"mri": scan_of(1)["mri"]}})
    error = refused(asked("--variant", "pet", table=only_mri))
    assert "no pet among mri" in error and "every variant needs pet, on whose grid" in error
    assert "does without it" not in error
    change(only_mri, 1, "patient_id", "who")
    assert "no patient_id" in refused(asked("--variant", "pet", table=only_mri))


def test_what_cannot_be_asked_for_is_refused(asked, tmp_path):
    assert "an s3:// URL" in refused(asked(out="s3://bucket/masks"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert "made by something else" in refused(asked("--overwrite", out=tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_all_faults_of_scans_are_told_and_nothing_is_written(trained, tmp_path):
    scans = {name: scan_of(number) for number, name in enumerate(("a", "b", "c"), start=1)}
    manifest = write_scans(tmp_path / "new", scans)
    for name in ("a", "c"):
        (tmp_path / "new" / name / "mri.nii.gz").write_bytes(b"no volume")
    with pytest.raises(InputError) as caught:
        hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet_mri")
    assert "scan a" in str(caught.value) and "scan c" in str(caught.value)
    assert "scan b" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("kind", ["probability", "disagreement"])
def test_two_scans_of_which_a_file_would_bear_one_name_are_refused(asked, tmp_path, kind):
    """The probabilities of scan a were replaced by the mask of scan a_probability, another patient's."""
    table = write_scans(tmp_path / "two", {"a": scan_of(1), f"a_{kind}": scan_of(2)})
    error = refused(asked("--variant", "pet", table=table))
    assert f"scans a and a_{kind}" in error and f"a_{kind}.nii.gz of both" in error
