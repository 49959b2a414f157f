"""Train one trial, without Ray: `python -m hnscc.train STUDY TRIAL [--out RUN]`.

Any number of trials may be trained into one run folder at once, on machines that share it, for example as the jobs of
another scheduler; `hnscc aggregate RUN` then writes the tables, at any time. A trial that another process trains, and a
run folder in which `hnscc run` or `hnscc search` is at work, are refused.
"""

import argparse
import sys

from hnscc.base.errors import exit_code_of
from hnscc.study.loading import load_study
from hnscc.study.plan import Trial, find_trial
from hnscc.training.earlier import ACCEPT_VERSIONS
from hnscc.training.in_use import one_trial, preparing
from hnscc.training.prepare import Prepared, prepare_run, run_folder
from hnscc.training.trial import train_trial


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hnscc.train",
        description="Train one trial, without Ray. Several may be trained at once into one run folder, each by a "
        "process of its own; then: hnscc aggregate RUN",
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("trial", help="trial id, e.g. pet_mri-f0-r07")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    parser.add_argument("--accept-versions", action="store_true", help=ACCEPT_VERSIONS)
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: _train_one(options.study, options.trial, options.out, options.accept_versions)
    )


def _train_one(study_file: str, trial_id: str, out: str | None, accept_versions: bool) -> int:
    study = load_study(study_file)
    trial = find_trial(study, trial_id)
    run = run_folder(study, out)
    with one_trial(run, trial_id):
        with preparing(run):
            prepared = prepare_run(study, out, accept_versions=accept_versions, replace_folds=False)
        return _train(prepared, trial)


def _train(prepared: Prepared, trial: Trial) -> int:
    """Train and print a line for each epoch; the exit code."""
    folder = prepared.folder.trial(trial.trial_id)
    data = prepared.folds[trial.fold]
    if prepared.state(trial).completed:
        print(f"{trial.trial_id} is completed already: {folder.record}")
        return 0
    device, precision = prepared.chosen[trial.variant]
    for row in train_trial(prepared.study, trial, data, folder, device=device, precision=precision):
        scores = f"loss {row['train_loss']:.4f}  validation soft Jaccard {row['val_soft_jaccard']:.4f}"
        print(f"epoch {row['epoch']:3d}  {scores}")
    state = prepared.state(trial)
    record = state.completed
    if record is None:
        error = state.record and state.record.error
        print(error or f"{trial.trial_id} left no record", file=sys.stderr)
        return 1
    scores = f"best validation soft Jaccard {record.best_val_soft_jaccard:.4f}"
    print(f"{scores}, validation Dice {record.scores['validation']['dice']:.4f}; wrote {folder.record}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
