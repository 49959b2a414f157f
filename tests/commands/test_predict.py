"""`hnscc predict`: masks of new scans are those that the study's own models give, and lie where they belong."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from trained_runs import scan_of, trained_run, write_scans

import hnscc
from hnscc.aggregation.folds import load_fold
from hnscc.aggregation.trials import load_probabilities
from hnscc.base.errors import InputError
from hnscc.scores.thresholds import choose_threshold, sweep
from hnscc.study.trials import Trial


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


@pytest.mark.quick(1)
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
        pet = scan_of(int(scan["scan_id"][1:]))["pet"]
        voxels, suv_mean, tlg, *at = (
            np.array([float(row[name]) for row in own])
            for name in ("voxels", "suv_mean", "tlg", "x_mm", "y_mm", "z_mm")
        )
        place = nib.affines.apply_affine(mask.affine, np.argwhere(marked)).mean(axis=0)
        assert (np.array(at) @ voxels / voxels.sum()).tolist() == pytest.approx(place.tolist(), abs=0.01)
        assert max(float(row["suv_max"]) for row in own) == pytest.approx(pet[marked].max(), rel=1e-5)
        assert suv_mean @ voxels / voxels.sum() == pytest.approx(pet[marked].mean(), rel=1e-5)
        assert tlg.sum() == pytest.approx(pet[marked].sum() * 0.003, rel=1e-4)


def test_pet_is_called_suv_only_where_the_user_says_so(trained, tmp_path):
    manifest = write_scans(tmp_path / "new", {"a": scan_of(1)})
    hnscc.predict(trained.root, manifest, tmp_path / "out", variant="pet")
    (row, *_) = rows_of(tmp_path / "out" / "lesions.csv")
    assert {"pet_max", "pet_mean"} <= row.keys() and not any("suv" in name for name in row)


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


def test_one_model_gives_exactly_what_it_stored(tmp_path):
    """A study of one fold: the median model alone, and its own threshold. It cannot disagree with itself."""
    run = trained_run(tmp_path / "study", patients=8, folds=1, repeats=1)
    manifest = own_scans(tmp_path / "own")
    for ensemble, do in (
        (False, "add --ensemble, or leave --disagreement out"),
        (True, "leave --disagreement out"),
    ):
        options = {"variant": "pet", "disagreement": True, "ensemble": ensemble}
        with pytest.raises(InputError, match="cannot disagree") as told:
            hnscc.predict(run.root, manifest, tmp_path / "out", **options)
        assert told.value.do == do, "all repeats are one"
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
