"""Ids that may mean one patient, by hand: what is told, and what is usual and left alone."""

import pytest

from data_prep.manifest.ids import may_be_one

USUAL = [f"P{number:02d}" for number in range(1, 13)]


@pytest.mark.parametrize(
    "typed",
    [
        "P05_v2",
        "P05-2",
        "P05b",
        "P05 visit 2",
        "p05.1",
        "PO5",
        "5",
        "05",
        "Pat05",
        "HN-P05",
        "05P",
        "v2P05",
        "2-P05",
    ],
)
def test_an_id_as_it_is_typed_at_a_second_visit_is_told(typed):
    assert may_be_one([*USUAL, typed]) == [(typed, "P05")]


def test_the_later_of_the_two_is_named_first_whichever_is_longer():
    assert may_be_one(["P05-2", *USUAL]) == [("P05", "P05-2")]


@pytest.mark.parametrize(
    "ids",
    [
        USUAL,
        [f"{site}{number:02d}" for site in "AB" for number in range(1, 9)],
        [f"{number}-{visit}" for number in range(1, 9) for visit in (1, 2)],
        ["P1", "P10", "P100", "P2", "P20"],
        [*USUAL, "Q77"],
        ["anna", "annabel", "ann", "joanna"],
        [],
    ],
    ids=["numbers", "two sites", "dashes in all", "longer numbers", "another number", "words", "none"],
)
def test_usual_ids_are_left_alone(ids):
    assert may_be_one(ids) == []


def test_what_is_surely_one_is_not_told_here():
    assert may_be_one([*USUAL, "p-05"]) == []
