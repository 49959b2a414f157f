from typing import get_args

import pytest
import torch
from stores import make_store, study_of
from torch.nn.functional import binary_cross_entropy_with_logits
from trials import train_trial

from hnscc.cohort.fold import read_folds
from hnscc.study.run_folder import TrialFolder
from hnscc.study.trials import Trial
from hnscc.study.variant_schema import Training
from hnscc.training.losses import LOSSES, loss_of, soft_dice_loss
from hnscc.training.ready import open_and_divide
from hnscc.training.records import read_record


def batch():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, 8, 8, generator=rng), (torch.rand(3, 1, 8, 8, generator=rng) > 0.7).float()


def test_dice_is_monais_over_the_batch_with_a_smoothing_pixel():
    from monai.losses import DiceLoss  # of seconds: not in every process of pytest

    logits, truth = batch()
    logits.requires_grad_()
    oracle = DiceLoss(sigmoid=True, batch=True, smooth_nr=1, smooth_dr=1)
    mine, theirs = soft_dice_loss(logits, truth), oracle(logits, truth)
    torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(torch.autograd.grad(mine, logits)[0], torch.autograd.grad(theirs, logits)[0])


def test_by_hand():
    """Two pixels at probability 0.5, one of them true: 1 - (2 x 0.5 + 1) / (1 + 1 + 1)."""
    assert soft_dice_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])).item() == pytest.approx(
        1 / 3
    )


def test_the_sum_is_the_sum_and_the_papers_is_pytorchs():
    logits, truth = batch()
    entropy = binary_cross_entropy_with_logits(logits, truth)
    assert loss_of("binary_cross_entropy", logits, truth) == entropy
    torch.testing.assert_close(
        loss_of("binary_cross_entropy_and_dice", logits, truth), entropy + soft_dice_loss(logits, truth)
    )


@pytest.mark.quick(1)
@pytest.mark.parametrize("loss", get_args(Training.model_fields["loss"].annotation))
def test_a_training_learns_by_it(loss, tmp_path):
    store = make_store(tmp_path)
    study = study_of(store.location, training={"loss": loss, "epochs": 12, "patience": 12}, repeats=1)
    name = next(iter(study.variants))
    data = read_folds(store, study, [open_and_divide(study)[1][0]])[0]
    trial = Trial(name, 0, 0)
    folder = TrialFolder(tmp_path / trial.trial_id)
    rows = list(train_trial(study, trial, data, folder, device="cpu", precision="fp32"))
    assert read_record(folder).status == "completed"
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"]


def test_every_choice_of_a_study_file_is_a_loss():
    """A name that no loss has once trained by cross-entropy without a word."""
    choices = get_args(Training.model_fields["loss"].annotation)
    assert set(choices) == LOSSES.keys()
    with pytest.raises(KeyError):
        loss_of("no_such_loss", torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
