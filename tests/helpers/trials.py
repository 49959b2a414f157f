"""One trial, trained in this process."""

from collections.abc import Iterator
from typing import Any

from hnscc.cohort.fold import FoldData
from hnscc.study.plan import Trial
from hnscc.study.run_folder import TrialFolder
from hnscc.study.schema import Study
from hnscc.training.loop import Epoch
from hnscc.training.ready import Task
from hnscc.training.trial import steps_of_trial


def train_trial(
    study: Study, trial: Trial, data: FoldData, folder: TrialFolder, **settings: Any
) -> Iterator[Epoch]:
    """The epochs of `steps_of_trial`, without its pauses while it predicts and scores."""
    yield from (
        row for row in steps_of_trial(Task(study, trial, data, folder, **settings)) if row is not None
    )
