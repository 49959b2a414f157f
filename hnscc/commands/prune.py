"""Deletes the weights that no reading needs."""

from collections.abc import Sequence
from typing import NamedTuple

from hnscc.aggregation.query import ended_trials, not_in_tables, read_table
from hnscc.base.errors import InputError
from hnscc.base.files import delete
from hnscc.base.in_words import count_of
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import trials_of
from hnscc.training.in_use import alone, writing_tables
from hnscc.training.states import trial_state


class Pruned(NamedTuple):
    """What was deleted: the number of weights files, and their size in bytes."""

    files: int
    size: int


def prune_weights(run: RunFolder) -> Pruned:
    """Delete weights.safetensors of every completed trial that is no reading's median model.

    Records, histories and predictions stay, so that the same tables can be written again. InputError where tables are
    not written or trials are missing, since medians may still change, or where another process trains here: then
    nothing is deleted.
    """
    with alone(run), writing_tables(run):
        return _prune(run)


def _prune(run: RunFolder) -> Pruned:
    needed = {
        trial_id
        for ids in read_table(run, "protocol").column("trial_ids").to_pylist()
        for trial_id in (ids or "").split()
    }
    trial_ids = [trial.trial_id for trial in trials_of(kept_study(run))]
    _check_none_missing(run, trial_ids)
    files = size = 0
    for trial_id in trial_ids:
        weights = run.trial(trial_id).weights
        if trial_id not in needed and weights.is_file():
            files, size = files + 1, size + weights.stat().st_size
            delete(weights)
    return Pruned(files, size)


def _check_none_missing(run: RunFolder, trial_ids: Sequence[str]) -> None:
    rows = read_table(run, "trials").to_pylist()
    left = [trial_state(run.trial(trial_id)).status for trial_id in trial_ids].count("missing")
    ended = len(not_in_tables(run))
    if left or ended or trial_ids != [row["trial_id"] for row in rows if row["status"] != "missing"]:
        late = f"tables without the results of {ended_trials(ended)}"
        raise InputError(
            "Weights can be pruned once no trial is missing and the tables are written: medians still move.",
            where=str(run.root),
            expected="no trial missing, and tables of the same trials",
            found=f"{count_of(left, 'trial')} missing"
            if left
            else late
            if ended
            else "tables of other trials",
            do="`hnscc run STUDY` trains what is missing and writes the tables",
        )
