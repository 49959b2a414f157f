"""One trial of a small study, trained to its end in this process."""

from pathlib import Path
from typing import Any

from trials import train_trial

from hnscc.cohort.fold import FoldData
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial
from hnscc.training.fit import Epoch
from hnscc.training.records import read_record

TRIAL = Trial("pet_mri", 0, 0)


def fit(
    study: Study, data: FoldData, root: Path, trial: Trial = TRIAL
) -> tuple[TrialFolder, Any, list[Epoch]]:
    """Train to the end; return the trial's folder, record and epochs."""
    folder = RunFolder(root).trial(trial.trial_id)
    rows = list(train_trial(study, trial, data, folder, device="cpu", precision="fp32"))
    return folder, read_record(folder), rows
