"""What a search's run folder records: the configurations that were proposed, and how far each training has come."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hnscc.base.encode import table_of_parquet
from hnscc.base.errors import InputError
from hnscc.base.facts import Facts, unlike
from hnscc.base.files import read_sealed, write_sealed
from hnscc.searching.ledger import Curve, Key
from hnscc.study.identity import identity
from hnscc.study.presets import in_lower_case
from hnscc.study.ranges import Configuration, name_of
from hnscc.study.run_folder import HISTORY_FILE, RunFolder
from hnscc.study.trials import Trial
from hnscc.training.earlier import check_identity, other_versions
from hnscc.training.records import Attempt, Failed, newest_facts
from hnscc.training.states import trial_state


class SearchRecord(Facts):
    """search.json: the settings of each configuration in the order proposed, and how many trials the machines could run
    side by side when the search began."""

    configurations: list[Configuration]
    side_by_side: float


def read_search(folder: RunFolder) -> SearchRecord | None:
    """Return what the search has proposed so far; None where no search has begun.

    Raises InputError where it is damaged: other configurations would be another search.
    """
    try:
        facts = read_sealed(folder.search)
    except FileNotFoundError:
        return None
    except ValueError:
        raise _no_search(folder, "a file that was cut short or changed after it was written") from None
    try:
        return SearchRecord.model_validate(in_lower_case(facts))
    except ValidationError as error:
        raise _no_search(folder, f"a file that {unlike(error)}") from None


def _no_search(folder: RunFolder, found: str) -> InputError:
    return InputError(
        "What the search has proposed cannot be read.",
        where=f"search.json in {folder.root}",
        expected="the file as this program wrote it",
        found=found,
        do="restore it from a copy, or search into another folder (--out)",
    )


def write_search(folder: RunFolder, record: SearchRecord) -> None:
    """Write what the search has proposed so far, with a seal that shows later whether the file is whole."""
    write_sealed(folder.search, record.model_dump())


def trial_of(key: Key) -> Trial:
    """Return the trial that trains this repeat of this configuration."""
    configuration, repeat = key
    return Trial(name_of(configuration), 0, repeat)


def curve_of(
    folder: RunFolder, key: Key, settings: Mapping[str, Any] | None = None, *, accept_versions: bool = False
) -> Curve | None:
    """Return the curve of a trial so far, completed, paused or failed; None where it has not begun or left
    damaged files.

    settings: those with which the trial would be trained now. A checkpoint of others is not used. A record of others
    raises InputError, unless only versions differ and accept_versions is set.
    """
    trial = trial_of(key)
    where = folder.trial(trial.trial_id)
    state = trial_state(where, keep=(HISTORY_FILE,))
    record = state.record
    if settings and record:
        versions = check_identity(folder, record, settings)
        if versions and not accept_versions:
            raise other_versions(folder, [(trial.trial_id, versions)])
    if state.completed:
        history = table_of_parquet(state.contents[HISTORY_FILE]).to_pylist()
        return _curve(history, state.completed.attempts, ended=True)
    saved = newest_facts(where)
    if settings and saved and saved.identity != identity(settings):
        saved = None
    if isinstance(record, Failed):  # its last checkpoint is still there
        return _curve(saved.history if saved else [], record.attempts, ended=True, failed=True)
    if not saved:
        return None
    return _curve(saved.history, saved.attempts, ended=False)


def _curve(
    history: list[dict[str, Any]], attempts: Sequence[Attempt], *, ended: bool, failed: bool = False
) -> Curve:
    took = tuple(row["seconds"] for row in history)
    # Each epoch has the share of the last process that trained it: a paused training may go on with another share.
    gpus = tuple(
        next((each.gpus for each in reversed(attempts) if each.from_epoch <= row["epoch"]), 0.0)
        for row in history
    )
    return Curve(tuple(row["val_soft_jaccard"] for row in history), ended, failed, took, gpus)
