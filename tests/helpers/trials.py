"""Trains trials in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hnscc.cohort.fold import FoldData
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of
from hnscc.training.fit import Epoch
from hnscc.training.ready import ReadyRun, Task, make_run_ready
from hnscc.training.trial import steps_of_trial


def train_trial(
    study: Study, trial: Trial, data: FoldData, folder: TrialFolder, **settings: Any
) -> Iterator[Epoch]:
    """Yield the epochs of `steps_of_trial`, without its pauses while it predicts and scores."""
    yield from (
        row for row in steps_of_trial(Task(study, trial, data, folder, **settings)) if row is not None
    )


def train_pet(study: Study, root: Path) -> ReadyRun:
    """Return a run folder whose trials of variant pet are completed."""
    ready = make_run_ready(study, root)
    for trial in trials_of(study):
        if trial.variant == "pet":
            device, precision = ready.computed_by[trial.variant]
            folder = ready.folder.trial(trial.trial_id)
            list(train_trial(study, trial, ready.folds[0], folder, device=device, precision=precision))
    return ready
