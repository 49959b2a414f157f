"""The share of a GPU that a trial needs. It is measured on one trial of each variant, alone on a GPU."""

from collections.abc import Mapping
from typing import Any

import ray

from hnscc.base.in_words import count_of
from hnscc.study.trials import Trial
from hnscc.training.ready import ReadyRun
from rayjobs.cluster import answer_to, machines_of_cluster, remote_task
from rayjobs.requests import trials_per_gpu

# What is left free of a GPU's memory, and added to each trial's measured peak: allocators fragment.
GPU_SPARE, PEAK_MARGIN = 0.05, 1.1


def gpu_shares(ready: ReadyRun, variants: Mapping[str, Trial], trials: int | None = None) -> dict[str, float]:
    """Return the share of a GPU that the trials of each variant need: where the study says `auto`, it is measured on
    one trial.

    variants: one trial of each variant. trials: how many are to be trained, if that is known.
    """
    asked = ready.study.resources.gpus
    if asked != "auto":
        return dict.fromkeys(variants, asked)
    most = trials_per_gpu(machines_of_cluster(), ready.study.resources.cpus, trials)
    return {
        variant: _measured_share(ready, trial, most) if ready.computed_by[variant][0] == "cuda" else 0.0
        for variant, trial in variants.items()
    }


def _measured_share(ready: ReadyRun, trial: Trial, most: int) -> float:
    """Measure the share of this trial, alone on a GPU. Return 1 where it fails there: the trial's own record will
    say why."""
    measure = remote_task(_measure_gpu, ready.study.resources.cpus, 1)
    measured = measure.remote(
        ready.study, trial, ready.folds[trial.fold], precision=ready.computed_by[trial.variant][1]
    )
    try:
        peak, total = answer_to(measured, f"a whole GPU free, to measure the memory of {trial.variant}")
    except ray.exceptions.RayError as error:
        why = type(getattr(error, "cause", None) or error).__name__
        print(f"{trial.variant}: its GPU memory cannot be measured ({why}): a GPU each")
        return 1.0
    share = share_for(peak, total, most)
    text = f"{trial.variant}: {peak / 2**30:.1f} of {total / 2**30:.0f} GiB of a GPU at its peak"
    print(f"{text}, {count_of(int(1 / share), 'trial')} to a GPU")
    return share


def share_for(peak: int, total: int, most: int = 10_000) -> float:
    """Return the share of a GPU of `total` bytes, at most 1, with which as many trials of `peak` bytes run as fit into
    its memory.

    most: the most trials that may share it (`trials_per_gpu`). The share is in ten-thousandths, the unit in which
    Ray counts.
    """
    fit = min(most, max(1, int(total * (1 - GPU_SPARE) / (peak * PEAK_MARGIN))))
    parts = 10_000 // fit
    if 10_000 // parts > fit:  # rounded down so far that one more would be placed
        parts += 1
    return parts / 10_000


def _measure_gpu(*what: Any, **how: Any) -> tuple[int, int]:
    from hnscc.training.trial import measure_gpu

    return measure_gpu(*what, **how)
