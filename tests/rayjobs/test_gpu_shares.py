"""How many trials go onto a GPU, by what one takes of its memory."""

from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store, study_of

from hnscc.cohort.slices import Slices
from hnscc.study.trials import trials_of
from hnscc.training.boundary import begin
from hnscc.training.inference import EVALUATION_BATCH
from hnscc.training.ready import make_run_ready
from hnscc.training.trial import measure_gpu, train_first_batches
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


def test_a_trial_is_measured_alone_on_its_gpu_in_its_own_format(monkeypatch):
    """Of 80 GiB 76 are free, 3 reserved for tensors (5 at their peak): the context has 1. Without a GPU, what would be
    asked of one."""
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (76 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 5 * GIB)
    monkeypatch.setattr(
        "hnscc.training.trial.set_up_torch", lambda *given, **named: asked.append((given, named))
    )
    monkeypatch.setattr("hnscc.training.trial.train_first_batches", lambda *given: asked.append(given))
    study = study_of("s", training={"threads": 3})
    trial, data = trials_of(study)[0], SimpleNamespace(digest="d")
    assert measure_gpu(study, trial, data, precision="bf16") == (6 * GIB, 80 * GIB)
    began = begin(study, trial, "d", device="cuda", precision="bf16")
    assert asked == [(("cuda", 3), {"gpus": 1.0, "precision": "bf16"}), (study, trial, data, began)]


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
