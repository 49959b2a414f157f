"""How far a study has come, read from its run folder alone, so from another terminal or machine too, while it runs."""

import contextlib
import time
from collections import Counter
from typing import TypedDict

from hnscc.cohort.split_file import read_split
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.study.schema import Study
from hnscc.study.trials import Trial, trials_of
from hnscc.training.earlier import lines_of_left_out
from hnscc.training.records import NEEDED, SlotFacts, newest_slot
from hnscc.training.states import TrialState, Why, trained_otherwise, trial_state

STATES = ("completed", "failed", "started", "missing")
# How often reading a checkpoint is tried: it may be overwritten while it is read.
TRIES = 3


class StartedTrial(TypedDict):
    """A trial with a checkpoint and no record: how many epochs are done, the most that it may have, how often its
    process was started again, and the seconds since its checkpoint was written."""

    trial: str
    epoch: int
    of: int
    interruptions: int
    heard: float


class FailedTrial(TypedDict):
    """A failed trial and the kind of its error."""

    trial: str
    failure: str


class Remark(TypedDict):
    """What to know of a trial that left results: why they are not used, or what happened to a completed one."""

    trial: str
    remark: str


class Status(TypedDict):
    """How far a study has come: the number of trials by state for each variant, and whether tables are written.

    remarks: on trials that left results. left_out: sentences on trained trials that the study no longer has, which
    stand in no table.
    """

    study: str
    variants: dict[str, dict[str, int]]
    started: list[StartedTrial]
    failed: list[FailedTrial]
    remarks: list[Remark]
    left_out: list[str]
    tables: bool


def run_status(folder: RunFolder) -> Status:
    """Return everything that `hnscc status` prints. InputError where the study, or a fold of which every slice is
    scored, cannot be read.

    `trial_state` judges trials, as everywhere. Of their files, only those are read without which no trial is completed:
    predictions and history.
    """
    study = kept_study(folder)
    counts: dict[str, Counter[str]] = {name: Counter() for name in study.variants}
    started: list[StartedTrial] = []
    failed: list[FailedTrial] = []
    remarks: list[Remark] = []
    others = [_others_digest(folder, study, number) for number in range(study.split.folds)]
    for trial in trials_of(study):
        found, saved, written = _look(folder.trial(trial.trial_id), others[trial.fold])
        if found.completed and (told := trained_otherwise(study, trial, found.completed)):
            found = TrialState("missing", Why.UNUSABLE, told)
        state = "started" if saved else found.status
        # In a search, nobody knows yet how many repeats a configuration will have.
        counts[trial.variant][state] += not (study.search and state == "missing")
        if found.status == "failed":
            failed.append({"trial": trial.trial_id, "failure": found.reason or ""})
        if remark := _remark(found):
            remarks.append({"trial": trial.trial_id, "remark": remark})
        if saved:
            started.append(_started(study, trial, saved, written))
    return {
        "study": study.name,
        "variants": {name: {state: each[state] for state in STATES} for name, each in counts.items()},
        "started": started,
        "failed": failed,
        "remarks": remarks,
        "left_out": lines_of_left_out(study, folder),
        "tables": folder.table("trials").is_file(),
    }


def _look(folder: TrialFolder, others_digest: str) -> tuple[TrialState, SlotFacts | None, float]:
    """Return the state of a trial by its record; if it has none, also the facts of its checkpoint and when that
    was written."""
    state = trial_state(folder, others_digest=others_digest, check=NEEDED)
    if state.record:
        return state, None, 0.0
    saved, written = _saved(folder)
    if saved or not state.unusable:  # the trial may have ended meanwhile; a damaged one stays damaged
        state = trial_state(folder, others_digest=others_digest, check=NEEDED)
    return state, None if state.record else saved, written


def _others_digest(folder: RunFolder, study: Study, number: int) -> str:
    """Return the digest of the slices that trials of this fold predict besides the sampled ones; empty where no others
    are scored."""
    return read_split(folder.fold(number)).others_digest if study.whole_splits else ""


def _remark(found: TrialState) -> str | None:
    if found.unusable:
        return found.reason
    if found.completed and (failure := found.completed.failure):
        return (
            f"completed, but its weights failed to predict again ({failure}); what it predicted before holds"
        )
    return None


def _started(study: Study, trial: Trial, saved: SlotFacts, written: float) -> StartedTrial:
    return {
        "trial": trial.trial_id,
        "epoch": saved.epoch,
        "of": study.variants[trial.variant].training.epochs,
        "interruptions": len(saved.attempts) - 1,
        "heard": max(0.0, time.time() - written),
    }


def _saved(folder: TrialFolder) -> tuple[SlotFacts | None, float]:
    """Return the facts of a trial's newest checkpoint, and when it was written, in seconds since 1970; (None, 0)
    without one."""
    for _ in range(TRIES):
        newest = newest_slot(folder)
        if newest is None:
            break
        saved, slot = newest
        with contextlib.suppress(FileNotFoundError):  # the trial has gone on meanwhile
            return saved, slot.facts.stat().st_mtime
    return None, 0.0
