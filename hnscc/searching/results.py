"""A search's run folder holds what was proposed and trained, the tables from it, and the study file of the winners."""

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hnscc.aggregation.build import build_table
from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES
from hnscc.aggregation.folds import Fold, load_fold
from hnscc.aggregation.results import Results
from hnscc.aggregation.schemas import SEARCH_TABLES, schema
from hnscc.aggregation.trials import Result, load_trial
from hnscc.base.encode import parquet_bytes
from hnscc.base.errors import InputError
from hnscc.base.files import read_sealed, write_bytes, write_sealed, write_text
from hnscc.searching.ledger import Curve, Key
from hnscc.searching.race import Race
from hnscc.searching.standings import Standing
from hnscc.study.identity import identity, trial_seeds
from hnscc.study.loading import load_study
from hnscc.study.plan import Trial
from hnscc.study.ranges import Configuration, base_of, name_of, search_of, winners_file
from hnscc.study.run_folder import HISTORY_FILE, RunFolder
from hnscc.study.schema import Study
from hnscc.training.earlier import check_identity, other_versions
from hnscc.training.records import HISTORY, Attempt, Failed
from hnscc.training.slots import progress
from hnscc.training.states import trial_state


@dataclass(frozen=True)
class SearchRecord:
    """search.json: the settings of each configuration in the order proposed, and how many trials the machines held
    side by side when the search began."""

    configurations: list[Configuration]
    side_by_side: float


def read_search(folder: RunFolder) -> SearchRecord | None:
    """Read what the search has proposed so far; None where no search has begun.

    Raises InputError where it is damaged: another draw would be another search.
    """
    try:
        facts = read_sealed(folder.search)
    except FileNotFoundError:
        return None
    except ValueError:
        raise _no_search(folder, "a file that was cut short or changed after it was written") from None
    wanted = [each.name for each in fields(SearchRecord)]
    if facts.keys() != set(wanted):
        found = f"the parts {', '.join(sorted(facts)) or 'none'}, where this version has {', '.join(wanted)}"
        raise _no_search(folder, found)
    return SearchRecord(**facts)


def _no_search(folder: RunFolder, found: str) -> InputError:
    return InputError(
        "What the search has proposed cannot be read.",
        where=f"search.json in {folder.root}",
        expected="the file as this program wrote it",
        found=found,
        do="restore it from a copy, or search into another folder (--out)",
    )


def write_search(folder: RunFolder, record: SearchRecord) -> None:
    """Write what the search has proposed so far, under a seal that tells later whether it is whole."""
    write_sealed(folder.search, asdict(record))


def trial_of(key: Key) -> Trial:
    """The trial that trains this repeat of this configuration."""
    configuration, repeat = key
    return Trial(name_of(configuration), 0, repeat)


def curve_of(
    folder: RunFolder, key: Key, settings: Mapping[str, Any] | None = None, *, accept_versions: bool = False
) -> Curve | None:
    """What a trial has shown so far, finished, paused or failed; None where it has not begun or left damaged files.

    `settings` are what the trial would now be trained by: a checkpoint of others is not used, and a record of others
    raises InputError, unless nothing but versions differs and these are accepted.
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
        history = pq.read_table(io.BytesIO(state.contents[HISTORY_FILE])).to_pylist()
        return _curve(history, state.completed.attempts, ended=True)
    saved = progress(where)
    if settings and saved and saved["identity"] != identity(settings):
        saved = None
    if isinstance(record, Failed):  # its last checkpoint is still there
        return _curve(saved["history"] if saved else [], record.attempts, ended=True, failed=True)
    if not saved:
        return None
    return _curve(saved["history"], [Attempt.model_validate(each) for each in saved["attempts"]], ended=False)


def _curve(
    history: list[dict[str, Any]], attempts: Sequence[Attempt], *, ended: bool, failed: bool = False
) -> Curve:
    took = tuple(row["seconds"] for row in history)
    gpus = attempts[-1].gpus if attempts else 0.0
    return Curve(tuple(row["val_soft_jaccard"] for row in history), ended, failed, took, gpus)


def write_search_results(folder: RunFolder, study: Study, race: Race) -> list[Standing]:
    """Write tables/*.parquet and winners.yaml of a race that is over, and return the standings.

    `study` has the configurations as its variants. Raises InputError where a fold cannot be read.
    """
    standings = race.standings()
    results = _results(folder, study, race)
    tables = {name: build_table(name, results) for name in SEARCH_TABLES if name != "configurations"}
    tables["configurations"] = configurations_table(study, race, standings, tables["trials"])
    for name, content in tables.items():
        write_bytes(folder.table(name), parquet_bytes(content))
    if standings and standings[0].place == "winner":
        write_text(folder.winners, winners(study, race, standings))
    return standings


def load_race(folder: RunFolder) -> tuple[Study, Race]:
    """Run the search again over what is there: nothing is trained or proposed.

    Returns the study, which has the configurations as its variants, and the race. Raises InputError where the folder
    holds no search, or one that is not over.
    """
    study, record = load_study(folder.study), read_search(folder)
    if record is None or study.search is None:
        raise InputError(
            "This run folder holds no search.",
            where=str(folder.root),
            expected="search.json, as `hnscc search` writes it",
            found="nothing",
            do="check the path, for example runs/search",
        )
    recorded = iter(record.configurations)
    race = Race(
        study.search,
        base_of(study).training.epochs,
        lambda told, n: list(itertools.islice(recorded, n)),
        record.side_by_side,
    )
    wanted = race.advance({})
    while wanted:
        left = race.advance({key: curve for key in wanted if (curve := curve_of(folder, key))})
        if left == wanted:
            raise _not_over(folder, len(left))
        wanted = left
    return study, race


def _not_over(folder: RunFolder, left: int) -> InputError:
    return InputError(
        "The search is not over.",
        where=str(folder.root),
        expected="every training that it wants",
        found=f"{left} trainings that are missing or damaged",
        do="`hnscc search STUDY` goes on where it stopped",
    )


# --- tables


def _results(folder: RunFolder, study: Study, race: Race) -> Results:
    fold = load_fold(folder, 0)
    keys = sorted(race.curves)
    return Results(
        study, (fold,), tuple(_result(folder, study, race.curves[key], key, fold) for key in keys), {}
    )


def _result(folder: RunFolder, study: Study, curve: Curve, key: Key, fold: Fold) -> Result:
    trial = trial_of(key)
    if curve.ended:
        return load_trial(folder, study, trial, fold)
    saved = progress(folder.trial(trial.trial_id))
    history = pa.Table.from_pylist(saved["history"], schema=HISTORY) if saved else None
    reason = f"stopped after epoch {len(curve.scores)}"
    seed = trial_seeds(study, trial)["trial"]
    return Result(trial=trial, seed=seed, status="stopped", reason=reason, history=history)


def configurations_table(study: Study, race: Race, standings: list[Standing], trials: pa.Table) -> pa.Table:
    """Make the table `configurations`: a row each, the winner first; last, a column per searched setting.

    trials: the search's table of that name.
    """
    dice = _validation_dice(trials)
    written = chosen_of(study, standings)
    rows = []
    for rank, each in enumerate(standings):
        curves = [curve for (c, _), curve in race.curves.items() if c == each.configuration]
        row = asdict(each) | {"configuration": name_of(each.configuration), "rank": rank + 1}
        row |= {"written": each.configuration in written, "trials": len(curves)}
        row |= {"val_dice_mean": dice.get(name_of(each.configuration))}
        row |= {"epochs": sum(len(curve.scores) for curve in curves)}
        row |= {"seconds": float(sum(curve.seconds for curve in curves))}
        rows.append(row | named(study, race.configurations[each.configuration]))
    wanted = _with_settings(study, race)
    return pa.table([_column([row[field.name] for row in rows], field.type) for field in wanted], wanted)


def _validation_dice(trials: pa.Table) -> dict[str, float]:
    """Configuration -> mean validation Dice at 0.5 over its completed repeats; those without one are absent."""
    found: dict[str, list[float]] = {}
    for row in trials.select(["variant", "val_dice"]).to_pylist():
        if row["val_dice"] is not None:
            found.setdefault(row["variant"], []).append(row["val_dice"])
    return {name: fmean(each) for name, each in found.items()}


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Write a column; values of several kinds become texts."""
    texts = [None if each is None else str(each) for each in values]
    return pa.array(texts if kind == TEXT else values, kind)


def columns_of(study: Study) -> dict[str, str]:
    """Map each searched setting to its column: the last part of its path, or all of it with
    underscores where two end alike."""
    paths = list(search_of(study).ranges)
    last = [path.rpartition(".")[2] for path in paths]
    taken = set(schema("configurations").names)
    return {
        path: name if last.count(name) == 1 and name not in taken else path.replace(".", "_")
        for path, name in zip(paths, last, strict=True)
    }


def named(study: Study, settings: Configuration) -> dict[str, Any]:
    """The settings by column; what is neither a number, a text nor yes or no, is JSON."""
    columns = columns_of(study)
    return {columns[path]: plain(value) for path, value in settings.items()}


def plain(value: Any) -> bool | int | float | str | None:
    """A setting's value as a table holds it: lists and mappings are written as JSON."""
    return value if isinstance(value, bool | int | float | str) or value is None else json.dumps(value)


def _with_settings(study: Study, race: Race) -> pa.Schema:
    fields = list(schema("configurations"))
    for path, column in columns_of(study).items():
        kinds = {type(plain(each[path])) for each in race.configurations} - {type(None)}
        about = {"description": f"the setting {path}"}
        fields.append(pa.field(column, _kind(kinds), metadata=about))
    return pa.schema(fields, metadata=schema("configurations").metadata)


def _kind(kinds: set[type]) -> pa.DataType:
    if kinds <= {bool}:
        return YES
    if kinds <= {int}:
        return WHOLE
    return REAL if kinds <= {int, float} else TEXT


# --- the winners


def chosen_of(study: Study, standings: list[Standing]) -> list[int]:
    """The configurations to be written out: the winner, and the best of those that cannot be told from it."""
    winner = [each.configuration for each in standings if each.place == "winner"]
    beside = [each.configuration for each in standings if each.place == "not_distinguished"]
    return winner + beside[: search_of(study).runners_up]


def winners(study: Study, race: Race, standings: list[Standing]) -> str:
    """The study file of the winners: the chosen configurations as variants, with a note on each."""
    by = {each.configuration: each for each in standings}
    chosen = chosen_of(study, standings)
    notes = {name_of(c): _note(by[c]) for c in chosen}
    # In the study's order: search.json keeps another, and the file is the same whoever writes it.
    ordered = {
        name_of(c): {path: race.configurations[c][path] for path in search_of(study).ranges} for c in chosen
    }
    return winners_file(study, ordered, notes)


def _note(each: Standing) -> str:
    what = "the winner" if each.place == "winner" else "not distinguished from the winner"
    interval = "" if each.score_low is None else f" ({each.score_low:.3f} to {each.score_high:.3f})"
    repeats = f"{each.repeats} repeat" + "s" * (each.repeats != 1)
    return f"{what}, soft Jaccard {each.score:.3f}{interval} over {repeats}"
