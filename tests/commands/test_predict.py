"""`hnscc predict`: masks of new scans are those that the study's own models give, and lie where they belong."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from commands import refused
from scans import change, save, write
from trained_runs import SIDE, UPRIGHT, scan_of, trained_run, write_scans

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.aggregation.folds import load_fold
from hnscc.aggregation.trials import load_probabilities
from hnscc.base.errors import InputError
from hnscc.scores.thresholds import choose_threshold, sweep
from hnscc.study.plan import Trial
from hnscc.study.run_folder import RunFolder

PLACING = {"reference": "pet", "size": SIDE, "pixel_mm": None, "suv": "bw", "units": {}}


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stored(run, trials):
    """What trials stored of slices, as the sum of their levels and their number: {(scan, z): [sum, number]}."""
    found = {}
    for variant, fold, repeat in trials:
        each = load_fold(run, fold)
        levels = load_probabilities(run, Trial(variant, fold, repeat), each)
        keys = zip(each.slices["scan_id"].to_pylist(), each.slices["z"].to_pylist(), strict=True)
        for key, slice_ in zip(keys, levels, strict=True):
            total = found.setdefault(key, [np.zeros(slice_.shape), 0])
            total[0] += slice_
            total[1] += 1
    return found


def as_stored(path):
    """A file on the upright grid as stored slices: (Z, H, W)."""
    return np.asarray(nib.load(path).dataobj).T


def of_trial(trial_id):
    variant, fold, repeat = trial_id.rsplit("-", 2)
    return variant, int(fold[1:]), int(repeat[1:])


def own_scans(folder):
    """A manifest of some scans of the study, as they were when it was trained."""
    return write_scans(folder, {f"p{number:02d}": scan_of(number) for number in range(5)})


@pytest.fixture(scope="module")
def predicted(trained, tmp_path_factory):
    """Scans of the study, predicted by the median models of both folds."""
    folder = tmp_path_factory.mktemp("predicted")
    return hnscc.predict(
        trained.root,
        own_scans(folder / "own"),
        folder / "masks",
        variant="pet_mri",
        probabilities=True,
        disagreement=True,
        pet_is_suv=True,
    )


@pytest.mark.parametrize("ensemble", [False, True])
def test_predictions_are_the_mean_of_what_the_trials_stored(trained, tmp_path, ensemble):
    found = hnscc.predict(
        trained.root,
        own_scans(tmp_path / "own"),
        tmp_path / "out",
        variant="pet",
        ensemble=ensemble,
        probabilities=True,
        disagreement=True,
    )
    trials = [of_trial(each) for each in found.facts["trials"]]
    assert len(trials) == (4 if ensemble else 2) and {fold for _, fold, _ in trials} == {0, 1}
    compared = 0
    for (scan, z), (total, number) in stored(trained, trials).items():
        mask = tmp_path / "out" / f"{scan}.nii.gz"
        if number < len(trials) or not mask.exists():  # a slice that some fold did not use, or another scan
            continue
        compared += 1
        probability = as_stored(tmp_path / "out" / f"{scan}_probability.nii.gz")[z]
        assert np.abs(probability - total / number / 65535).max() < 2 / 65535
        sure = np.abs(total / number / 65535 - found.facts["threshold"]) > 2 / 65535
        assert (as_stored(mask)[z] == (total / number / 65535 >= found.facts["threshold"]))[
            sure
        ].all() and sure.mean() > 0.99
    assert compared > 10


def test_disagreement_is_the_standard_deviation_of_the_models(trained, predicted):
    one, other = (stored(trained, [of_trial(trial)]) for trial in predicted.facts["trials"])
    scans = {scan["scan_id"] for scan in predicted.facts["scans"]}
    both = {key for key in one.keys() & other.keys() if key[0] in scans}
    assert len(both) > 10
    for scan, z in both:
        expected = np.std([one[scan, z][0], other[scan, z][0]], axis=0) / 65535
        told = as_stored(predicted.folder / f"{scan}_disagreement.nii.gz")[z]
        assert np.abs(told - expected).max() < 2 / 65535


def test_thresholds_are_the_studys(trained, predicted, tmp_path):
    chosen = hnscc.query(
        trained.root,
        "SELECT threshold FROM thresholds WHERE variant = 'pet_mri' AND chosen AND split = 'validation'",
    )
    thresholds = chosen["threshold"].to_pylist()
    assert len(thresholds) == 2
    assert predicted.facts["threshold"] == pytest.approx(sum(thresholds) / 2, abs=0.00051)
    manifest = write_scans(tmp_path / "new", {"q": scan_of(1)})
    found = hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet", ensemble=True)
    expected = []
    for number in (0, 1):
        fold = load_fold(trained, number)
        rows = fold.split == "validation"
        levels = [load_probabilities(trained, Trial("pet", number, repeat), fold)[rows] for repeat in (0, 1)]
        mean = np.rint(np.mean(levels, axis=0)).astype(np.uint16)
        expected.append(choose_threshold(sweep(mean, fold.masks[rows]), "plateau")[0])
    assert found.facts["threshold"] == pytest.approx(sum(expected) / 2000, abs=0.00051)


def turned(degrees, axis):
    angle = np.radians(degrees)
    a, b = [each for each in range(3) if each != axis]
    matrix = np.eye(4)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


# How the same scan is written: which axes its file has, in which direction they run, and how it is turned in space.
WAYS = {
    "axial": ((0, 1, 2), (1, 1, 1), np.eye(4)),
    "flipped": ((0, 1, 2), (-1, 1, -1), np.eye(4)),
    "sagittal": ((2, 0, 1), (1, -1, 1), np.eye(4)),
    "coronal": ((0, 2, 1), (-1, 1, -1), np.eye(4)),
    "oblique": ((0, 1, 2), (1, 1, 1), turned(17, 0) @ turned(-9, 2)),
    "oblique and flipped": ((2, 1, 0), (-1, 1, 1), turned(-21, 1) @ turned(8, 0)),
}


def written(data, order, signs, turn):
    """The volume (x, y, z) of the upright grid in another order of axes, and the affine that leaves each voxel where
    it was, turned in space."""
    to_file = np.zeros((4, 4))
    to_file[3, 3] = 1
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        to_file[axis, column] = sign
        to_file[axis, 3] += 0 if sign > 0 else data.shape[axis] - 1
    flipped = data[tuple(slice(None, None, sign) for sign in np.array(signs)[np.argsort(order)])]
    return np.ascontiguousarray(flipped.transpose(order)), turn @ UPRIGHT @ to_file


def points(mask, affine):
    """Where the voxels of a mask lie, in mm, in one order."""
    at = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return at[np.lexsort(np.round(at, 3).T)]


@pytest.fixture(scope="module")
def everywhere(trained, tmp_path_factory):
    """One scan written in every way, predicted; the folders of the files and of the masks."""
    folder = tmp_path_factory.mktemp("ways")
    volumes = scan_of(101)
    del volumes["mask"]
    rows = [["patient_id", "scan_id", "pet", "mri"]]
    for number, way in enumerate(WAYS.values()):
        for name, data in volumes.items():
            write(folder / f"{number}-{name}.nii.gz", *written(data, *way))
        rows.append([f"Q{number}", f"w{number}", f"{number}-pet.nii.gz", f"{number}-mri.nii.gz"])
    hnscc.predict(trained.root, save(folder, rows), folder / "out", variant="pet_mri")
    return folder


@pytest.mark.parametrize("number", range(len(WAYS)), ids=WAYS)
def test_a_mask_lies_where_its_scan_lies(everywhere, number):
    """The same lesion, whatever the order of axes; read by nibabel and by SimpleITK."""
    source = nib.load(everywhere / f"{number}-mri.nii.gz")
    mask = nib.load(everywhere / "out" / f"w{number}.nii.gz")
    assert mask.shape == source.shape and mask.get_data_dtype() == np.uint8
    assert np.abs(mask.affine - source.affine).max() < 1e-4
    upright = nib.load(everywhere / "out" / "w0.nii.gz")
    turn = list(WAYS.values())[number][2]
    expected = points(np.asarray(upright.dataobj), turn @ upright.affine)
    assert len(expected) > 10
    assert np.abs(points(np.asarray(mask.dataobj), mask.affine) - expected).max() < 1e-3
    image = sitk.ReadImage(everywhere / "out" / f"w{number}.nii.gz")
    voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1]
    lps = np.array([image.TransformIndexToPhysicalPoint(list(map(int, each))) for each in voxels])
    ras = lps * [-1, -1, 1]
    assert np.abs(ras[np.lexsort(np.round(ras, 3).T)] - expected).max() < 1e-3


def test_scores_are_there_for_scans_with_a_mask(trained, tmp_path):
    """An empty cell says nothing; `none` says that there is no lesion."""
    scans = {"a": scan_of(1), "b": scan_of(2), "c": scan_of(3)}
    manifest = write_scans(tmp_path / "new", scans)
    text = manifest.read_text().replace("b/mask.nii.gz", "").replace("c/mask.nii.gz", "none")
    manifest.write_text(text)
    hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet_mri")
    found = {row["scan_id"]: row for row in rows_of(tmp_path / "out" / "scores.csv")}
    assert found.keys() == {"a", "c"}
    for name, row in found.items():
        mask = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj)
        truth = scans[name]["mask"]
        overlap, total = int((mask & truth).sum()), int(mask.sum()) + int(truth.sum())
        assert float(row["dice"]) == pytest.approx(2 * overlap / total if total else 1.0, abs=1e-6)
        assert float(row["pred_ml"]) == pytest.approx(int(mask.sum()) * 0.003)
        assert float(row["overlap_ml"]) == pytest.approx(overlap * 0.003)
        # The grid is that of the stored slices: nothing is lost on the way.
        assert row["dice_stored"] == row["dice"] and float(row["dice_of_mask_sent_back"]) == 1
    assert found["a"]["patient_id"] == "A" and float(found["c"]["truth_ml"]) == 0


def test_lesions_are_listed_with_place_volume_and_uptake(predicted):
    rows = rows_of(predicted.folder / "lesions.csv")
    assert rows and json.loads((predicted.folder / "lesions.json").read_text()) == [
        {name: value if name == "scan_id" else json.loads(value) for name, value in row.items()}
        for row in rows
    ]
    for scan in predicted.facts["scans"]:
        own = [row for row in rows if row["scan_id"] == scan["scan_id"]]
        mask = nib.load(predicted.folder / scan["files"]["mask"])
        marked = np.asarray(mask.dataobj) == 1
        assert len(own) == scan["lesions"]
        assert sum(int(row["voxels"]) for row in own) == marked.sum()
        assert scan["volume_ml"] == pytest.approx(marked.sum() * 0.003, abs=1e-3)
        if len(own) == 1:
            pet = scan_of(int(scan["scan_id"][1:]))["pet"]
            (row,) = own
            at = points(marked, mask.affine).mean(axis=0)
            assert [float(row[f"{axis}_mm"]) for axis in "xyz"] == pytest.approx(at.tolist(), abs=0.01)
            assert float(row["suv_max"]) == pytest.approx(pet[marked].max(), rel=1e-5)
            assert float(row["suv_mean"]) == pytest.approx(pet[marked].mean(), rel=1e-5)
            assert float(row["tlg"]) == pytest.approx(pet[marked].mean() * marked.sum() * 0.003, rel=1e-4)
            assert float(row["suv_peak"]) <= float(row["suv_max"])


def test_pet_is_called_suv_only_where_the_user_says_so(trained, tmp_path):
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet")
    (row, *_) = rows_of(tmp_path / "out" / "lesions.csv")
    assert {"pet_max", "pet_mean"} <= row.keys() and not any("suv" in name for name in row)


def test_a_scan_unlike_the_studys_is_told(trained, tmp_path):
    volumes = {name: data for name, data in scan_of(1).items() if name != "mask"}
    scans = {
        "alike": volumes,
        "bq": volumes | {"pet": volumes["pet"] * 5000},
        "small": volumes | {"pet": volumes["pet"] / 1000},
    }
    found = hnscc.predict(
        trained.root, write_scans(tmp_path / "new", scans), tmp_path / "out", variant="pet_mri"
    )
    told = {scan["scan_id"]: scan for scan in found.facts["scans"]}
    assert told["alike"]["told"] == []
    assert told["bq"]["intensities"]["pet"]["outside"] == 1.0
    assert "100.0% of the pixels lie outside" in told["bq"]["told"][0]
    assert any("another unit" in line for line in told["small"]["told"])


def test_a_patient_of_the_study_is_told(predicted):
    for scan in predicted.facts["scans"]:
        assert any("one of the study's" in line for line in scan["told"])


def test_without_a_variant_the_best_on_validation_is_taken(trained, tmp_path):
    rows = hnscc.query(
        trained.root, "SELECT variant FROM pooled WHERE split = 'validation' ORDER BY dice DESC, variant"
    )
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    found = hnscc.predict(trained.root, manifest, tmp_path / "out")
    assert found.facts["variant"] == rows["variant"][0].as_py()


def test_the_command_tells_what_it_wrote(hnscc, trained, tmp_path):
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1), "b": scan_of(3)})
    out = tmp_path / "masks"
    code, text, _ = hnscc("predict", trained.root, manifest, "--out", out, "--variant", "pet_mri")
    assert code == 0 and f"wrote {out}" in text and "next:" in text and "threshold" in text
    names = {path.name for path in out.iterdir()}
    files = {"a.nii.gz", "a.png", "b.nii.gz", "b.png", "lesions.csv", "lesions.json", "scores.csv"}
    assert names == files | {"predictions.json"}
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in (out / "predictions.json").read_text()
    code, text, _ = hnscc("predict", trained.root, manifest, "--out", out, "--overwrite", "--json")
    assert code == 0 and json.loads(text) == json.loads((out / "predictions.json").read_text())


def test_the_same_scans_give_the_same_files(trained, tmp_path):
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    for name in ("one", "two"):
        hnscc.predict(trained.root, manifest, tmp_path / name, variant="pet", probabilities=True)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_run_folder_without_placing_asks_its_store(trained, tmp_path):
    """Folds that were written before they kept how the scans were placed."""
    from hnscc.base.files import read_sealed, write_sealed

    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    for fold in (0, 1):
        split = read_sealed(run.fold(fold).split)
        assert split.pop("placing") == PLACING
        write_sealed(run.fold(fold).split, split)
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    found = hnscc.predict(run.root, manifest, tmp_path / "out")
    assert found.facts["placing"] == PLACING


def test_one_model_gives_exactly_what_it_stored(tmp_path):
    """A study of one fold: the median model alone, and its own threshold. It cannot disagree with itself."""
    run = trained_run(tmp_path / "study", patients=8, folds=1, repeats=1)
    manifest = own_scans(tmp_path / "own")
    with pytest.raises(InputError, match="cannot disagree"):
        hnscc.predict(run.root, manifest, tmp_path / "out", variant="pet", disagreement=True)
    found = hnscc.predict(run.root, manifest, tmp_path / "out", variant="pet", probabilities=True)
    assert found.facts["trials"] == ["pet-f0-r00"]
    own = hnscc.query(
        run.root, "SELECT scan_id, z, pred_px FROM slices WHERE variant = 'pet' ORDER BY threshold = 0.5"
    ).to_pylist()
    marked = {}
    for row in own:  # those at the chosen threshold stand first
        marked.setdefault((row["scan_id"], row["z"]), row["pred_px"])
    levels = stored(run, [("pet", 0, 0)])
    assert levels.keys() == marked.keys()
    found = {
        key: level for key, (level, _) in levels.items() if (tmp_path / "out" / f"{key[0]}.png").exists()
    }
    assert len(found) > 10
    for (scan, z), level in found.items():
        assert as_stored(tmp_path / "out" / f"{scan}.nii.gz")[z].sum() == marked[scan, z]
        probability = as_stored(tmp_path / "out" / f"{scan}_probability.nii.gz")[z]
        assert np.abs(np.rint(probability * 65535) - level).max() <= 1


# What is refused


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
    assert "not trained to its end" in error and "1 of 4 trials missing" in error
    assert asked("--variant", "pet_mri", run=unfinished.root)[0] == 0
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(unfinished.tables)
    assert "no tables yet" in refused(asked(run=unfinished.root))
    assert "bounds" in refused(asked("--variant", "pet", run=finished))


def test_weights_that_are_gone_or_damaged_are_refused(asked, trained, predicted, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.root, run.root)
    weights = run.trial(predicted.facts["trials"][0]).weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "is damaged" in refused(asked("--variant", "pet_mri", run=run.root))
    weights.unlink()
    assert "no such file" in refused(asked("--variant", "pet_mri", run=run.root))


def test_what_does_not_fit_the_study_is_refused(asked, tmp_path):
    error = refused(asked("--variant", "ct"))
    assert "no such variant" in error and "one of pet, pet_mri" in error
    lacking = write_scans(tmp_path / "lacking", {"a": {"pet": scan_of(1)["pet"]}})
    assert "no mri among pet" in refused(asked("--variant", "pet_mri", table=lacking))
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
    assert "no pet among mri" in refused(asked("--variant", "pet", table=only_mri))
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
