"""Loads a race that is over from its run folder, and writes its tables and the winners' study file."""

import itertools

import pyarrow as pa

from hnscc.aggregation.build import build_table, table_bytes, write_files
from hnscc.aggregation.folds import Fold, load_fold
from hnscc.aggregation.results import Results
from hnscc.aggregation.schemas import SEARCH_TABLES
from hnscc.aggregation.trials import Result, load_trial
from hnscc.base.errors import InputError
from hnscc.base.files import write_text
from hnscc.base.in_words import count_of
from hnscc.searching.configurations import configurations_table
from hnscc.searching.ledger import Curve, Key
from hnscc.searching.race import Race
from hnscc.searching.recorded import curve_of, read_search, trial_of
from hnscc.searching.standings import Standing, chosen_of
from hnscc.study.identity import trial_seeds
from hnscc.study.loading import kept_study
from hnscc.study.ranges import base_of, name_of, search_of, winners_file
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.training.records import HISTORY, newest_facts


def write_search_results(folder: RunFolder, study: Study, race: Race) -> list[Standing]:
    """Write tables/*.parquet and winners.yaml of a race that is over, and return the standings.

    study: has the configurations as its variants. Raises InputError where a fold cannot be read.
    """
    standings = race.standings()
    results = _results(folder, study, race)
    tables = {name: build_table(name, results) for name in SEARCH_TABLES if name != "configurations"}
    tables["configurations"] = configurations_table(study, race, standings, tables["trials"])
    write_files(folder, {name: table_bytes(name, each) for name, each in tables.items()})
    if standings and standings[0].place == "winner":
        write_text(folder.winners, winners(study, race, standings))
    return standings


def winners(study: Study, race: Race, standings: list[Standing]) -> str:
    """Return the study file of the winners, which trains them on fresh seeds and reads the test patients: the chosen
    configurations as variants, with a note on each."""
    by = {each.configuration: each for each in standings}
    chosen = chosen_of(study, standings)
    notes = {name_of(c): _note(by[c]) for c in chosen}
    # Settings are in the study's order, not that of search.json, so that the file is the same whoever writes it.
    ordered = {
        name_of(c): {path: race.configurations[c][path] for path in search_of(study).ranges} for c in chosen
    }
    return winners_file(study, ordered, notes)


def _note(each: Standing) -> str:
    what = "the winner" if each.place == "winner" else "not distinguished from the winner"
    interval = "" if each.score_low is None else f" ({each.score_low:.3f} to {each.score_high:.3f})"
    repeats = count_of(each.repeats, "repeat")
    return f"{what}, soft Jaccard {each.score:.3f}{interval} over {repeats}"


def load_race(folder: RunFolder) -> tuple[Study, Race]:
    """Run the search again over what is there, without training or proposing anything.

    Return the study, which has the configurations as its variants, and the race. Raises InputError where the folder
    holds no search, or one that is not over.
    """
    study, record = kept_study(folder), read_search(folder)
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
        found=count_of(left, "training that is missing or damaged", "trainings that are missing or damaged"),
        do="`hnscc search STUDY` goes on where it stopped",
    )


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
    saved = newest_facts(folder.trial(trial.trial_id))
    history = pa.Table.from_pylist(saved.history, schema=HISTORY) if saved else None
    reason = f"stopped after epoch {len(curve.scores)}"
    seed = trial_seeds(study, trial)["trial"]
    return Result(trial=trial, seed=seed, status="stopped", reason=reason, history=history)
