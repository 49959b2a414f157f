"""How many trials go onto a GPU, by what one takes of its memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import make_store, study_of

from hnscc.cohort.slices import Slices
from hnscc.study.loading import dump_study
from hnscc.study.plan import plan_trials
from hnscc.training.inference import EVALUATION_BATCH
from hnscc.training.measure import train_first_batches
from hnscc.training.prepare import prepare_run
from hnscc.training.trial import begin
from rayjobs.cluster import share_of

GIB = 2**30


def test_shares_by_hand():
    """95 % of the memory, a tenth more than the peak for each: 80 GiB hold 76 / 2.2 = 34 trials of 2 GiB."""
    assert share_of(2 * GIB, 80 * GIB) == int(10_000 / 34) / 10_000 == 0.0294
    assert share_of(30 * GIB, 80 * GIB) == 0.5
    assert share_of(40 * GIB, 80 * GIB) == 1.0
    assert share_of(20 * GIB, 80 * GIB) == 0.3333
    assert share_of(90 * GIB, 80 * GIB) == 1.0  # it will not fit, and its failure will say so


@given(st.integers(1, 200 * GIB), st.integers(GIB, 200 * GIB))
def test_as_many_trials_as_ray_places_by_the_share_fit_into_the_memory(peak, total):
    share = share_of(peak, total)
    placed = 10_000 // round(share * 10_000)
    assert 0 < share <= 1
    assert placed == 1 or placed * peak <= total


def test_what_is_measured_is_two_full_batches_and_leaves_nothing_behind(tmp_path, monkeypatch):
    study = study_of(make_store(tmp_path).location, training={"batch_size": 7})
    run = prepare_run(study, tmp_path / "run")
    trial = plan_trials(study)[0]
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


MEASURE = """
import sys
import ray
from dataclasses import replace
from hnscc.study.loading import load_study
from hnscc.study.plan import plan_trials
from hnscc.training.prepare import prepare_run
import rayjobs.cluster

study = load_study(sys.argv[1])
run = replace(prepare_run(study, sys.argv[2]), chosen=dict.fromkeys(study.variants, ("cuda", "fp32")))
ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
print(rayjobs.cluster.gpu_shares(run, {"pet": plan_trials(study)[0]}))
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU that works can be measured")
def test_a_gpu_that_cannot_be_measured_is_not_shared(tmp_path):
    """Declared to Ray, but not there: whatever fails on a GPU, the trial itself is left to say so."""
    study = study_of(make_store(tmp_path).location)
    (tmp_path / "study.yaml").write_text(dump_study(study))
    command = [sys.executable, "-c", MEASURE, tmp_path / "study.yaml", tmp_path / "run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    out = subprocess.run(
        command,
        env=environment | {"HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    assert "pet: its GPU memory cannot be measured" in out.stdout
    assert out.stdout.endswith("{'pet': 1.0}\n")
