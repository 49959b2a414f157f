"""One trial of a small study, trained to its end in this process."""

from trials import train_trial

from hnscc.study.plan import Trial
from hnscc.study.run_folder import RunFolder
from hnscc.training.records import read_record

TRIAL = Trial("pet_mri", 0, 0)


def fit(study, data, root, trial=TRIAL):
    """Train to the end; the trial's folder, record and weights."""
    folder = RunFolder(root).trial(trial.trial_id)
    rows = list(train_trial(study, trial, data, folder, device="cpu", precision="fp32"))
    return folder, read_record(folder), rows
