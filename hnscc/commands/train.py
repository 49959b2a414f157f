"""Train trials, without Ray: `python -m hnscc.train STUDY TRIAL [TRIAL ...] [--out RUN] [--side-by-side N]`.

Any number of trials may be trained into one run folder at once, on machines that share it, for example as the jobs of
another scheduler; `hnscc aggregate RUN` then writes the tables, at any time. A trial that another process trains, and a
run folder in which `hnscc run` or `hnscc search` is at work, are refused.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence

from hnscc.base.command import exit_code_of, leave
from hnscc.base.errors import InputError
from hnscc.base.option_help import ACCEPT_VERSIONS, OUT, STUDY
from hnscc.study.loading import load_study
from hnscc.study.run_folder import run_folder_of
from hnscc.study.trials import Trial, find_trial
from hnscc.training.fit import Epoch
from hnscc.training.in_use import one_trial, preparing
from hnscc.training.ready import ReadyRun, make_run_ready
from hnscc.training.trial import side_by_side, steps_of_trial
from rayjobs.patient_files import refuse_in_job, refuse_lost_with_job

SIDE_BY_SIDE = (
    "how many of the trials this process trains at a time, each for an epoch in turn (default: 1): it is meant for "
    "GPUs, was never run on one, and gains nothing on a processor"
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hnscc.train",
        description="Train trials, without Ray. Several may be trained at once into one run folder, each by a "
        "process of its own; then: hnscc aggregate RUN",
    )
    parser.add_argument("study", help=STUDY)
    parser.add_argument("trials", nargs="+", metavar="trial", help="trial id, e.g. pet_mri-f0-r07")
    parser.add_argument("--out", help=OUT)
    parser.add_argument("--accept-versions", action="store_true", help=ACCEPT_VERSIONS)
    parser.add_argument("--side-by-side", type=_count, default=1, metavar="N", help=SIDE_BY_SIDE)
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _train(options), arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of trials, 1 or more, found {text!r}")
    return int(text)


def _train(options: argparse.Namespace) -> int:
    """Train the trials that are not completed yet, print a line for each epoch, and return the exit code."""
    study = load_study(options.study)
    trials = [find_trial(study, each) for each in dict.fromkeys(options.trials)]
    run = run_folder_of(study.name, options.out)
    refuse_in_job()
    refuse_lost_with_job(run)
    with contextlib.ExitStack() as held:
        for trial in trials:
            held.enter_context(one_trial(run, trial.trial_id))
        with preparing(run):
            ready = make_run_ready(
                study, options.out, accept_versions=options.accept_versions, replace_folds=False
            )
        for line in ready.mended:
            print(line, file=sys.stderr)
        left = [each for each in trials if not _is_done(ready, each)]
        if options.side_by_side > 1:
            _check_alike(ready, left)
        steps = ((each.trial_id, steps_of_trial(ready.task(each))) for each in left)
        for trial_id, row in side_by_side(steps, options.side_by_side):
            if row:
                _print_epoch(row, f"{trial_id}  " if len(trials) > 1 else "")
        return max([0, *(_tell_end(ready, each) for each in left)])


def _is_done(ready: ReadyRun, trial: Trial) -> bool:
    """Return whether the trial is completed already, and print it if so."""
    done = ready.state(trial).completed is not None
    if done:
        print(f"{trial.trial_id} is completed already: {ready.folder.trial(trial.trial_id).record}")
    return done


def _check_alike(ready: ReadyRun, trials: Sequence[Trial]) -> None:
    """Raise InputError where trials differ in settings that a process has only once: their bits would depend on which
    trials are trained beside them."""
    variants = ready.study.variants
    told = {
        (*ready.computed_by[each.variant], variants[each.variant].training.threads): each.variant
        for each in trials
    }
    if len(told) > 1:
        raise InputError(
            "These trials cannot be trained side by side.",
            where="--side-by-side",
            expected="trials of one device, one precision and one number of threads",
            found="; ".join(
                f"{name}: {device}, {precision}, threads {n}" for (device, precision, n), name in told.items()
            ),
            do="train those that differ by themselves",
        )


def _print_epoch(row: Epoch, before: str) -> None:
    scores = f"loss {row['train_loss']:.4f}  validation soft Jaccard {row['val_soft_jaccard']:.4f}"
    print(f"{before}epoch {row['epoch']:3d}  {scores}")


def _tell_end(ready: ReadyRun, trial: Trial) -> int:
    """Print how the trial ended, and return 0 if it is completed, else 1."""
    state = ready.state(trial)
    path = ready.folder.trial(trial.trial_id).record
    record = state.completed
    if record is None:
        # Without the traceback: this goes into a job's log, and a traceback may name a patient's file.
        where = f"\n  traceback: {path}" if state.status == "failed" else ""
        print(f"{state.status}: {trial.trial_id}: {state.reason}{where}", file=sys.stderr)
        return 1
    scores = f"best validation soft Jaccard {record.best_val_soft_jaccard:.4f}"
    print(f"{scores}, validation Dice {record.scores['validation']['dice']:.4f}; wrote {path}")
    return 0


if __name__ == "__main__":
    leave(main())
