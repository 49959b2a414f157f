"""How far a study has come, read from its run folder alone: from another terminal or machine, while it runs."""

import contextlib
import time
from collections import Counter
from typing import Any, TypedDict

from hnscc.study.loading import load_study
from hnscc.study.plan import Trial, plan_trials
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.schema import Study
from hnscc.training.records import Record, newest_slot, read_record

STATES = ("completed", "failed", "started", "missing")
# A checkpoint may be written over while it is read: it is tried so often.
TRIES = 3


class StartedTrial(TypedDict):
    """A trial with a checkpoint and no record: epochs done, of at most how many, how often its process began anew, and
    the seconds since its checkpoint was written."""

    trial: str
    epoch: int
    of: int
    interruptions: int
    heard: float


class FailedTrial(TypedDict):
    """A failed trial and the kind of its error."""

    trial: str
    failure: str


class Status(TypedDict):
    """How far a study has come: the number of trials by state for each variant, and whether tables are written."""

    study: str
    variants: dict[str, dict[str, int]]
    started: list[StartedTrial]
    failed: list[FailedTrial]
    tables: bool


def run_status(folder: RunFolder) -> Status:
    """Everything that `hnscc status` prints. InputError where the study cannot be read.

    Records are believed here: whether a trial's files are whole is checked when they are used.
    """
    study = load_study(folder.study)
    counts: dict[str, Counter[str]] = {name: Counter() for name in study.variants}
    started: list[StartedTrial] = []
    failed: list[FailedTrial] = []
    for trial in plan_trials(study):
        record, saved, written = _look(folder.trial(trial.trial_id))
        failure = record.failure if record else None
        state = "failed" if failure else record.status if record else "started" if saved else "missing"
        # How many repeats a configuration of a search is to have, nobody knows yet.
        counts[trial.variant][state] += not (study.search and state == "missing")
        if failure:
            failed.append({"trial": trial.trial_id, "failure": failure})
        if saved:
            started.append(_started(study, trial, saved, written))
    return {
        "study": study.name,
        "variants": {name: {state: each[state] for state in STATES} for name, each in counts.items()},
        "started": started,
        "failed": failed,
        "tables": folder.table("trials").is_file(),
    }


def _look(folder: TrialFolder) -> tuple[Record | None, dict[str, Any] | None, float]:
    """A trial's record; where there is none, the facts of its checkpoint and when that was written."""
    record = read_record(folder)
    saved, written = (None, 0.0) if record else _saved(folder)
    record = record or read_record(folder)  # it may have ended since
    return record, None if record else saved, written


def _started(study: Study, trial: Trial, saved: dict[str, Any], written: float) -> StartedTrial:
    return {
        "trial": trial.trial_id,
        "epoch": saved["epoch"],
        "of": study.variants[trial.variant].training.epochs,
        "interruptions": len(saved["attempts"]) - 1,
        "heard": max(0.0, time.time() - written),
    }


def _saved(folder: TrialFolder) -> tuple[dict[str, Any] | None, float]:
    """The facts of a trial's newest checkpoint, and when it was written, in seconds since 1970; (None, 0) without."""
    for _ in range(TRIES):
        newest = newest_slot(folder)
        if newest is None:
            break
        saved, slot = newest
        with contextlib.suppress(FileNotFoundError):  # its trial has gone on since
            return saved, slot.facts.stat().st_mtime
    return None, 0.0
