"""How many trials go onto a GPU, by what one takes of its memory."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store, study_of

from hnscc.cohort.slices import Slices
from hnscc.study.trials import trials_of
from hnscc.training.boundary import begin
from hnscc.training.inference import EVALUATION_BATCH
from hnscc.training.ready import make_run_ready
from hnscc.training.trial import train_first_batches
from rayjobs.gpu_shares import share_for

GIB = 2**30


def test_shares_by_hand():
    """95 % of the memory, a tenth more than the peak for each: 80 GiB hold 76 / 2.2 = 34 trials of 2 GiB."""
    assert share_for(2 * GIB, 80 * GIB) == int(10_000 / 34) / 10_000 == 0.0294
    assert share_for(30 * GIB, 80 * GIB) == 0.5
    assert share_for(40 * GIB, 80 * GIB) == 1.0
    assert share_for(20 * GIB, 80 * GIB) == 0.3333
    assert share_for(90 * GIB, 80 * GIB) == 1.0  # it will not fit, and its failure will say so


@given(st.integers(1, 200 * GIB), st.integers(GIB, 200 * GIB))
def test_as_many_trials_as_ray_places_by_the_share_fit_into_the_memory(peak, total):
    share = share_for(peak, total)
    placed = 10_000 // round(share * 10_000)
    assert 0 < share <= 1
    assert placed == 1 or placed * peak <= total


def test_what_is_measured_is_two_full_batches_and_leaves_nothing_behind(tmp_path, monkeypatch):
    study = study_of(make_store(tmp_path).location, training={"batch_size": 7})
    run = make_run_ready(study, tmp_path / "run")
    trial = trials_of(study)[0]
    seen = []
    batch = Slices.batch

    def _note(slices, positions):
        seen.append((torch.is_grad_enabled(), len(positions)))
        return batch(slices, positions)

    monkeypatch.setattr(Slices, "batch", _note)
    began = begin(study, trial, run.folds[0].digest, device="cpu", precision="fp32")
    train_first_batches(study, trial, run.folds[0], began)
    assert (True, 7) in seen and (False, EVALUATION_BATCH) in seen
    assert not run.folder.trial(trial.trial_id).root.exists()
