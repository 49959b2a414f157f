"""Train one trial, without Ray: python -m hnscc.train STUDY TRIAL [--out RUN]"""

import argparse
import sys

from hnscc.base.errors import told
from hnscc.study.loading import load_study
from hnscc.study.plan import find_trial
from hnscc.training.prepare import prepare_run
from hnscc.training.records import is_complete, read_record
from hnscc.training.trial import train_trial


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hnscc.train", description="Train one trial, without Ray."
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("trial", help="trial id, e.g. pet_mri-f0-r07")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    options = parser.parse_args(arguments)
    return told(lambda: _train_one(options.study, options.trial, options.out))


def _train_one(study_file: str, trial_id: str, out: str | None) -> int:
    study = load_study(study_file)
    trial = find_trial(study, trial_id)
    run = prepare_run(study, out)
    folder = run.folder.trial(trial.trial_id)
    if is_complete(folder):
        print(f"{trial.trial_id} is completed already: {folder.record}")
        return 0
    device, precision = run.chosen[trial.variant]
    for row in train_trial(study, trial, run.folds[trial.fold], folder, device=device, precision=precision):
        scores = f"loss {row['train_loss']:.4f}  validation Jaccard {row['val_soft_jaccard']:.4f}"
        print(f"epoch {row['epoch']:3d}  {scores}")
    record = read_record(folder)
    if record["status"] == "failed":
        print(record["error"], file=sys.stderr)
        return 1
    print(f"validation Dice {record['scores']['validation']['dice']:.4f}; wrote {folder.record}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
