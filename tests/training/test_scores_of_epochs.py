"""What an epoch is trained on, and the score that is monitored."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_trials import TRIAL, fit
from stores import make_store, study_of
from torch.nn.functional import binary_cross_entropy_with_logits

from hnscc.base.seeds import derive_seed, generator
from hnscc.cohort.slices import Slices
from hnscc.scores.thresholds import score_trial
from hnscc.study.identity import trial_seeds
from hnscc.study.trials import Trial
from hnscc.training.adam import Adam
from hnscc.training.augment import (
    move,
    random_moves,
    training_count,
    training_slices,
    validation_slices,
)
from hnscc.training.boundary import begin
from hnscc.training.feeding import batches_of
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.paper_unet import Dropout
from hnscc.training.ready import make_run_ready
from hnscc.training.trial import train_epoch, validate


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), slices=5)  # more slices than a side has pixels


@pytest.fixture(scope="module")
def small(store, tmp_path_factory):
    study = study_of(store.location)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


def test_as_written_copies_replace_originals_and_are_shared_by_repeats(small):
    """Paper section 2.2: 1450 = 5 x 290, training and validation slices alike."""
    study = study_of(small[0].store, protocol="as_written", augmentation={"copies": 5})
    data, variant = small[1], study.variants["pet"]
    seeds = [trial_seeds(study, Trial("pet", 0, repeat)) for repeat in (0, 1)]
    first, second = (training_slices(variant, data, each)(1) for each in seeds)
    first, second = (each.batch(np.arange(len(each)))[0] for each in (first, second))
    originals = data.images[data.rows["train"]][:, [0]]
    assert len(first) == 5 * len(originals)
    np.testing.assert_array_equal(first, second)
    assert not any((copy == original).all() for copy in first for original in originals)
    validation = validation_slices(variant, data, seeds[0])
    assert len(validation) == 5 * (data.rows["validation"].stop - data.rows["validation"].start)


@pytest.mark.parametrize(
    ("augmentation", "protocol", "keys"),
    [
        ({"copies": "fresh"}, "corrected", [("fresh", 3)]),
        ({"copies": 2}, "corrected", [None, ("copy", 0), ("copy", 1)]),
        ({"copies": 2}, "as_written", [("copy", 0), ("copy", 1)]),
        ({"copies": 0}, "as_written", [None]),  # no copies replace nothing
    ],
)
def test_copies_are_those_of_their_documented_keys(small, augmentation, protocol, keys):
    """In epoch 3. Validation has copies by keys of its own as written, and else its own slices."""
    study, data = study_of(small[0].store, protocol=protocol, augmentation=augmentation), small[1]
    variant, seeds = study.variants["pet"], trial_seeds(study, TRIAL)

    def moved(split, seed):
        rows = data.rows[split]
        images, masks = data.images[rows][:, [0]], data.masks[rows].copy()
        if seed is not None:
            move(images, masks, random_moves(variant.augmentation, len(images), 32, seed=seed))
        return images, masks

    def same(found, expected):
        for ours, theirs in zip(found.batch(np.arange(len(found))), zip(*expected, strict=True), strict=True):
            np.testing.assert_array_equal(ours, np.concatenate(theirs))

    seed = seeds["augmentation"]
    found = training_slices(variant, data, seeds)(3)
    same(found, [moved("train", key and derive_seed(seed, *key)) for key in keys])
    assert training_count(variant, len(data.masks[data.rows["train"]])) == len(found)
    own = derive_seed(seed, "validation")
    written = [key and derive_seed(own, *key) for key in keys] if protocol == "as_written" else [None]
    same(validation_slices(variant, data, seeds), [moved("validation", key) for key in written])


def test_monitored_jaccard_pooled_and_as_a_mean_over_batches(small, tmp_path):
    """The same predictions, two batches: sum(I) / sum(U) against the mean of I / U."""
    study, data = small
    values = {}
    for monitor in ("soft_jaccard_pooled", "soft_jaccard_batch_mean"):
        changed = study_of(study.store, training={"epochs": 1, "batch_size": 5, "monitor": monitor})
        folder, record, _ = fit(changed, data, tmp_path / monitor)
        values[monitor] = record.best_val_soft_jaccard
    p = np.load(folder.predictions)["probabilities"][data.rows["validation"]] / 65535.0
    t = data.masks[data.rows["validation"]]
    overlap, union = (p * t).sum(axis=(1, 2)), (p + t - p * t).sum(axis=(1, 2))
    batches = [slice(start, start + 5) for start in range(0, len(t), 5)]
    assert len(batches) > 1
    assert values["soft_jaccard_pooled"] == pytest.approx(overlap.sum() / union.sum(), abs=1e-4)
    mean = np.mean([overlap[batch].sum() / union[batch].sum() for batch in batches])
    assert values["soft_jaccard_batch_mean"] == pytest.approx(mean, abs=1e-4)


def test_a_last_batch_of_one_joins_the_one_before():
    sizes = [[len(batch) for batch in batches_of(np.arange(n), 4)] for n in (1, 3, 4, 5, 8, 9, 10)]
    assert sizes == [[1], [3], [4], [5], [4, 4], [4, 5], [4, 4, 2]]


@pytest.mark.parametrize("monitor", ["soft_jaccard_pooled", "soft_jaccard_batch_mean"])
def test_nothing_predicted_where_nothing_is_monitors_as_one(small, tmp_path, monitor):
    """A saturated network predicts exact zeros: 0 / 0 is 1 by the empty-mask rule, not NaN."""
    study = study_of(small[0].store, training={"monitor": monitor})
    began = begin(study, TRIAL, "d", device="cpu", precision="fp32")
    fit = Fit.start(build_network(study.training.network, 2, seed=0), study.training, began)
    with torch.no_grad():
        for value in fit.network.parameters():
            value.zero_()
        fit.network.output.bias.fill_(-500.0)
    images = small[1].images[:5]
    nothing = np.zeros_like(small[1].masks[:5])
    slices = Slices(images, nothing, np.arange(5), (0, 1))
    assert validate(fit, slices) == (0.0, 1.0)
    fit.training = study.training.model_copy(update={"monitor": "third"})
    with pytest.raises(KeyError, match="third"):  # which would be computed as one of the two
        validate(fit, slices)


class Noting(torch.nn.Module):
    """Logits of one weight times each pixel; it notes which slices it is given, in which mode, by which seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.ones(1)), []
        self.dropout = Dropout(0.5, source=torch.Generator())

    def forward(self, images):
        numbers = (images[:, 0, 0, 0] * 13).round().int().tolist()
        seeds = torch.initial_seed(), self.dropout.source.initial_seed()
        self.seen.append((numbers, self.training, *seeds))
        return self.weight * images


# Thirteen slices of 2 x 2 pixels, each of one value; the last six are lesion.
VALUES, LESION = torch.arange(13) / 13, (torch.arange(13) >= 7).float()
OF_VALUES = Slices(
    VALUES.numpy()[:, None, None, None] * np.ones((1, 1, 2, 2), np.float32),
    LESION.numpy().astype(np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8),
    np.arange(13),
    (0,),
)


def noting(**training):
    study = study_of("s", training={"batch_size": 5, "learning_rate": 0.1} | training)
    began = begin(study, TRIAL, "d", device="cpu", precision="fp32")
    network = Noting()
    adam = Adam([network.weight], learning_rate=0.1, epsilon=1e-7)
    return Fit(network, adam, study.training, began, [])


def test_an_epoch_is_what_pytorch_makes_of_its_own_order():
    """Each epoch has its order and its dropouts by keys of its own; its loss is the mean over slices."""
    fit = noting()
    fit.network.eval()
    weight = torch.ones(1, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=0.1, eps=1e-7)
    for epoch in (1, 2):
        fit.network.seen.clear()
        found = train_epoch(fit, epoch, OF_VALUES)
        order = generator(fit.began.seeds["order"], epoch).permutation(13)
        losses = []
        for part in (order[:5], order[5:10], order[10:]):
            loss = binary_cross_entropy_with_logits(weight * VALUES[part], LESION[part])
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item() * len(part))
        assert found.item() == pytest.approx(sum(losses) / 13, rel=1e-5)
        torch.testing.assert_close(fit.network.weight.detach(), weight.detach())
        seed = derive_seed(fit.began.seeds["dropout"], epoch)
        parts = [order[:5].tolist(), order[5:10].tolist(), order[10:].tolist()]
        assert fit.network.seen == [(part, True, seed, seed) for part in parts]


@pytest.mark.parametrize(("monitor", "size"), [("soft_jaccard_pooled", 32), ("soft_jaccard_batch_mean", 15)])
def test_validation_is_in_order_without_dropout_and_by_the_mean_over_slices(monitor, size):
    """Of 40 slices: all at once though in two batches, or the mean over batches as large as those of training. Nothing
    is kept for a gradient."""
    fit = noting(monitor=monitor, batch_size=15)
    with torch.no_grad():
        fit.network.weight.fill_(3.0)
    rows = np.arange(40) % 13
    loss, jaccard = validate(fit, replace(OF_VALUES, rows=rows))
    batches = np.split(rows, range(size, 40, size))
    assert [each[:2] for each in fit.network.seen] == [(batch.tolist(), False) for batch in batches]
    assert not loss.requires_grad and not jaccard.requires_grad
    expected = binary_cross_entropy_with_logits(3 * VALUES[rows], LESION[rows])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    p, t = torch.sigmoid(3 * VALUES).double().numpy(), LESION.numpy()
    at_once = [rows] if monitor == "soft_jaccard_pooled" else batches
    scores = [(p[b] * t[b]).sum() / (p[b] + t[b] - p[b] * t[b]).sum() for b in at_once]
    assert jaccard.item() == pytest.approx(np.mean(scores), rel=1e-6)


def test_a_training_starts_from_the_weights_of_its_key(small, tmp_path):
    """It moves them by 1e-30 at most."""
    study = study_of(small[0].store, training={"epochs": 1, "learning_rate": 1e-30})
    folder, record, _ = fit(study, small[1], tmp_path)
    assert record.seeds == trial_seeds(study, TRIAL)
    first = build_network(study.training.network, 2, seed=record.seeds["initialisation"]).state_dict()
    found = load_file(folder.weights)
    torch.testing.assert_close(found, dict(first), rtol=0, atol=1e-29)


def test_each_epoch_of_a_trial_is_trained_on_copies_of_its_own(small, tmp_path, monkeypatch):
    study, data, found = study_of(small[0].store, augmentation={"copies": "fresh"}), small[1], []

    def _noting(state, epoch, slices):
        found.append(slices.batch(np.arange(len(slices)))[0])
        return train_epoch(state, epoch, slices)

    monkeypatch.setattr("hnscc.training.trial.train_epoch", _noting)
    fit(study, data, tmp_path)
    of = training_slices(study.variants[TRIAL.variant], data, trial_seeds(study, TRIAL))
    expected = [of(epoch).batch(np.arange(len(of(epoch))))[0] for epoch in (1, 2, 3)]
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found[0], found[1])


def test_seconds_are_those_of_an_epochs_training_and_validation_and_of_all_that_a_trial_does(
    small, tmp_path, monkeypatch
):
    """Training, validation and scoring are each made to take a tenth of a second more."""

    def slower(whole):
        def _slower(*given):
            time.sleep(0.1)
            return whole(*given)

        return _slower

    monkeypatch.setattr("hnscc.training.trial.train_epoch", slower(train_epoch))
    monkeypatch.setattr("hnscc.training.trial.validate", slower(validate))
    monkeypatch.setattr("hnscc.training.results_of_trial.score_trial", slower(score_trial))
    study, started = study_of(small[0].store, training={"epochs": 2}), time.monotonic()
    _, record, rows = fit(study, small[1], tmp_path)
    taken, epochs = time.monotonic() - started, [row["seconds"] for row in rows]
    assert min(epochs) >= 0.2 and sum(epochs) + 0.1 <= record.seconds <= taken
