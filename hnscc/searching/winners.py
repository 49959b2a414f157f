"""The study file of a search's winners, which trains them on fresh seeds and opens the test set."""

from hnscc.base.in_words import count_of
from hnscc.searching.race import Race
from hnscc.searching.standings import Standing
from hnscc.study.ranges import name_of, search_of, winners_file
from hnscc.study.schema import Study


def chosen_of(study: Study, standings: list[Standing]) -> list[int]:
    """Return the configurations to be written out: the winner, and the best of those that cannot be told from it."""
    winner = [each.configuration for each in standings if each.place == "winner"]
    beside = [each.configuration for each in standings if each.place == "not_distinguished"]
    return winner + beside[: search_of(study).runners_up]


def winners(study: Study, race: Race, standings: list[Standing]) -> str:
    """Return the study file of the winners: the chosen configurations as variants, with a note on each."""
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
    repeats = count_of(each.repeats, "repeat")
    return f"{what}, soft Jaccard {each.score:.3f}{interval} over {repeats}"
