"""Whatever may become of a configuration has its words and its mark in every list of places, and is told of truly."""

import pytest
from searches import searched

from hnscc.aggregation.columns import PLACES
from hnscc.aggregation.schemas import schema
from hnscc.searching.figures import MARKS, written
from hnscc.searching.report import findings, ranges_in_words
from hnscc.searching.standings import NO_SCORE


def test_every_place_is_told_and_plotted_but_of_what_was_never_trained():
    told = schema("configurations").field("place").metadata[b"description"].decode()
    assert told == (
        "what became of it: winner; not_distinguished (from the winner); dismissed (worse by a paired test); set_aside "
        "(one repeat, which nothing can be tested on); stopped (across epochs); failed; untrained (the budget was "
        "spent before)"
    )
    assert {*MARKS, "untrained"} == {*PLACES} and {*NO_SCORE} < {*PLACES}


def _row(number: int, place: str) -> dict:
    learned = {"learning_rate": 0.001, "batch_size": 8, "network": "{}", "copies": "0"}
    scored = {"score": 0.5, "score_low": None, "score_high": None, "val_dice_mean": None, "repeats": 1}
    return {"configuration": f"c{number:02}", "place": place, "written": False} | learned | scored


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([], "No other configuration was tried."),
        (["not_distinguished", "dismissed"], "c01 is not distinguished from it by the paired tests. Whoever"),
        (["untrained"], "What became of the others: 1 untrained (the budget was spent before). Whoever"),
        (
            ["dismissed", "set_aside", "dismissed", "failed"],
            "What became of the others: 2 dismissed (worse by a paired test), "
            "1 set aside (one repeat, which nothing can be tested on), 1 failed. Whoever",
        ),
    ],
)
def test_the_report_says_of_the_others_what_became_of_them_and_nothing_else(places, told):
    """It once said of all others that they were found worse, set aside, stopped or failed: also where none was tried,
    and of those that the budget did not reach."""
    rows = [_row(number, place) for number, place in enumerate(["winner", *places])]
    sentences = findings(searched(), rows).items
    assert any(each.startswith(told) for each in sentences), sentences


@pytest.mark.parametrize(
    ("dice", "told"), [((0.0, 0.0), True), ((0.0, None), True), ((0.0, 0.1), False), ((None, None), False)]
)
def test_the_report_says_where_no_configuration_found_anything(dice, told):
    """It named the winner of trainings that had all collapsed, without a word."""
    places = ("winner", "not_distinguished")
    rows = [
        _row(number, place) | {"val_dice_mean": each}
        for number, (place, each) in enumerate(zip(places, dice, strict=True))
    ]
    first, *_ = findings(searched(), rows).items
    assert first.startswith("No configuration found anything") == told


def test_ranges_are_told_as_tables_and_study_files_have_their_values():
    """Networks stood there as Python writes them, with quotes of another kind, and True for true."""
    told = ranges_in_words(searched())
    assert told[0] == "training.learning_rate: 0.0001 to 0.01 (log)"
    assert told[2].startswith('training.network: {"architecture": "paper", ') and "'" not in told[2]
    assert told[3] == "augmentation.copies: 0, 2 and fresh"
    assert [written(each) for each in (True, None, 0.00012345, 3)] == ["true", "null", "0.0001234", "3"]
