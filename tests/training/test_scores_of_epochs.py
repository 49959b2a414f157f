"""What an epoch is trained on, and the score that is monitored."""

import numpy as np
import pytest
import torch
from small_trials import TRIAL, fit
from stores import make_store, study_of

from hnscc.cohort.slices import Slices
from hnscc.study.identity import trial_seeds
from hnscc.study.trials import Trial
from hnscc.training.augment import training_slices, validation_slices
from hnscc.training.boundary import begin
from hnscc.training.feeding import batches_of
from hnscc.training.fit import Fit
from hnscc.training.network import build_network
from hnscc.training.ready import make_run_ready
from hnscc.training.trial import validate


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def small(store, tmp_path_factory):
    study = study_of(store.location)
    return study, make_run_ready(study, tmp_path_factory.mktemp("run")).folds[0]


def test_as_written_copies_replace_originals_and_are_shared_by_repeats(small):
    """Paper section 2.2: 1450 = 5 x 290, training and validation slices alike."""
    study = study_of(small[0].store, protocol="as_written", augmentation={"copies": 5})
    data, variant = small[1], study.variants["pet"]
    seeds = [trial_seeds(study, Trial("pet", 0, repeat)) for repeat in (0, 1)]
    first, second = (training_slices(variant, data, each)(1).as_one_batch()[0] for each in seeds)
    originals = data.images[data.rows["train"]][:, [0]]
    assert len(first) == 5 * len(originals)
    np.testing.assert_array_equal(first, second)
    assert not any((copy == original).all() for copy in first for original in originals)
    validation = validation_slices(variant, data, seeds[0])
    assert len(validation) == 5 * (data.rows["validation"].stop - data.rows["validation"].start)


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
