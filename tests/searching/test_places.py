"""Whatever may become of a configuration has its words and its mark in every list of places."""

from hnscc.aggregation.schemas import schema
from hnscc.aggregation.search_columns import PLACES
from hnscc.searching.figures import MARKS
from hnscc.searching.standings import NO_SCORE


def test_every_place_is_told_and_drawn_but_of_what_was_never_trained():
    told = schema("configurations").field("place").metadata[b"description"].decode()
    assert told == (
        "what became of it: winner; not_distinguished (from the winner); dismissed (worse by a paired test); set_aside "
        "(one repeat, which nothing can be tested on); stopped (across epochs); failed; untrained (the budget was "
        "spent before)"
    )
    assert {*MARKS, "untrained"} == {*PLACES} and {*NO_SCORE} < {*PLACES}
