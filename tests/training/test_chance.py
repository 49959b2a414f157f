"""The firewall, from its other side: labels that no image knows anything of are scored as well as by chance."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_tables import row
from stores import changed_store, make_store, study_of
from trials import train_trial

from hnscc.aggregation.build import write_tables
from hnscc.scores.counts import positive
from hnscc.scores.metrics import dice
from hnscc.training.ready import make_run_ready

PATIENTS, SIZE = 48, 16
TRAINING = {"epochs": 10, "patience": 10, "network": {"architecture": "paper", "width": 4}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), patients=PATIENTS, slices=3, size=SIZE)


def random_labels(scan_id, images, mask):
    """A square that lies anywhere in the scan, in all of its slices, whatever the images show there."""
    rng = np.random.default_rng([int(scan_id[1:3]), 11])
    top, left = rng.integers(0, SIZE - 5, 2)
    label = np.zeros_like(mask)
    label[:, top : top + 5, left : left + 5] = mask.any()
    return images, label


def scored(store, root, change):
    """What a trained study says of its test slices with lesion: its Dice in the table, predictions and truth (N, H, W),
    and the scan of each."""
    turns = ("test", "train", "test", "train", "train", "validation", "test", "train")
    splits = {f"p{i:02d}": turns[i // 2 % 8] for i in range(PATIENTS)}
    root.mkdir()
    changed = changed_store(store, root, splits, change)
    variants = {"pet_mri": {"modalities": ["pet", "mri"]}}
    study = study_of(changed.location, repeats=1, variants=variants, training=TRAINING)
    run = make_run_ready(study, root / "run")
    (trial,) = run.not_completed()
    folder = run.folder.trial(trial.trial_id)
    list(train_trial(study, trial, run.folds[0], folder, device="cpu", precision="fp32"))
    assert write_tables(run.folder) == []
    slices = pq.read_table(run.folder.fold(0).slices).to_pylist()
    truth = np.load(run.folder.fold(0).truth)["masks"].astype(bool)
    at = [i for i, each in enumerate(slices) if each["split"] == "test" and each["positive"]]
    levels = np.load(folder.predictions)["probabilities"][at]
    return row(run.folder, "trials")["test_dice"], levels, truth[at], [slices[i]["scan_id"] for i in at]


def overlap(predicted, truth):
    return float(dice((predicted & truth).sum(), predicted.sum(), truth.sum()))


def against_chance(levels, truth, scans):
    """Pooled Dice at the threshold that marks as many pixels as are true, and that of the same predictions with the
    masks of other scans, shuffled 500 times."""
    k = next(k for k in range(1000, 0, -1) if k == 1 or positive(levels, k).sum() >= truth.sum())
    predicted = positive(levels, k)
    names = sorted(set(scans))
    of_scan = {name: truth[[i for i, scan in enumerate(scans) if scan == name]] for name in names}
    rng = np.random.default_rng(0)
    by_chance = []
    for _ in range(500):
        other = dict(zip(names, rng.permutation(names), strict=True))
        shuffled = np.concatenate([of_scan[other[name]] for name in dict.fromkeys(scans)])
        by_chance.append(overlap(predicted, shuffled))
    return overlap(predicted, truth), by_chance


@pytest.mark.slow
def test_random_labels_score_at_chance_and_true_ones_above_it(store, tmp_path):
    _, *of_random = scored(store, tmp_path / "random", random_labels)
    found, by_chance = against_chance(*of_random)
    assert len(set(by_chance)) > 100, "what is predicted is no mask that suits every label alike"
    low, high = np.quantile(by_chance, [0.005, 0.995])
    assert low <= found <= high
    reported, *of_true = scored(store, tmp_path / "true", None)
    found, by_chance = against_chance(*of_true)
    assert found > max(by_chance) + 0.1, "the same training finds what the images do show"
    assert reported > 0.6
