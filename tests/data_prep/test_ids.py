"""Ids that may mean one patient, by hand: what is told, and what is usual and left alone."""

import numpy as np
import pytest

from data_prep.manifest.birthdays import as_birthday
from data_prep.manifest.ids import alike, may_be_one
from data_prep.manifest.visits import in_groups, of_visits

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


@pytest.mark.parametrize("typed", ["P02_2", "P02-2", "P2_2", "P02_02", "p02-2"])
def test_a_second_visit_is_that_of_its_patient_and_not_another_number(typed):
    """P02_2 was refused as P22 but for a leading zero, and P2-2 as P22 but for a dash."""
    ids = [f"P{number:02d}" for number in range(1, 25)]
    assert alike([*ids, typed]) == [] and may_be_one([*ids, typed]) == [(typed, "P02")]


@pytest.mark.parametrize("typed", ["2_2", "02-2", "002_2"])
def test_a_second_visit_of_a_bare_number_is_that_of_its_patient(typed):
    ids = [f"{number:03d}" for number in range(1, 25)]
    assert alike([*ids, typed]) == [] and may_be_one([*ids, typed]) == [(typed, "002")]


@pytest.mark.parametrize(
    "first, later",
    [("2023-001", "2023001"), ("P02_2", "P022"), ("P1-11", "P111"), ("P0_2", "P02"), ("A-007", "a7")],
)
def test_ids_are_alike_but_for_dashes_and_leading_zeros(first, later):
    assert alike([first, later]) == [(later, first)]
    assert alike([later, first]) == [(first, later)]


@pytest.mark.parametrize("pair", [("P02_2", "P22"), ("P1-11", "P11-1"), ("1-02", "12"), ("P0-22", "P22")])
def test_zeros_count_within_a_number_alone(pair):
    assert alike(pair) == []


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


@pytest.mark.parametrize("typed", ["11-Feb", "2-Nov", "Nov-02", "11. Feb.", "02-nov", "11.02", "11/2"])
def test_an_id_that_a_spreadsheet_took_for_a_date_is_told(typed):
    """Each was a patient of its own, beside 11-02 in training and test."""
    assert may_be_one(["10-02", "11-02", "12-02", "P07", typed]) == [(typed, "11-02")]


@pytest.mark.parametrize(
    "first, later",
    [
        ("1E3", "1000"),
        ("05e2", "500"),
        ("123456789012345678", "123456789012345000"),
        ("4714350", "4.714.350"),
        ("0012345", "1.2345e4"),
        ("12345", "1.2345E+04"),
        ("123456789012", "1.23E+11"),
        ("123456789012", "1,23457E+11"),
        ("1000", "1E+03"),
    ],
    ids=[
        "an exponent",
        "a small one",
        "a long number",
        "dots by thousands",
        "a fraction",
        "a plus",
        "rounded to its column",
        "with a comma",
        "whole with a plus",
    ],
)
def test_an_id_that_a_spreadsheet_took_for_a_number_is_told(first, later):
    assert may_be_one([*USUAL, first, later]) == [(later, first)]
    assert may_be_one([first, "77", later[1:]]) == []


def test_words_and_numbers_that_are_no_date_of_another_id_are_left_alone():
    assert may_be_one(["11-02", "3-Feb", "11-Abc", "02-11", "Mar"]) == []


@pytest.mark.parametrize(
    "typed, meant",
    [("P102", "P012"), ("P210", "P012"), ("P2005", "P005"), ("P201912", "P012"), ("P0122019", "P012")],
)
def test_a_number_far_from_a_cohort_that_another_becomes_by_a_slip_is_told(typed, meant):
    """Two digits exchanged, or a year put in: each was a patient of its own, in training or test."""
    ids = [f"P{number:03d}" for number in range(1, 21)]
    assert (typed, meant) in may_be_one([*ids, typed])


@pytest.mark.parametrize(
    "ids",
    [
        [f"P{number:03d}" for number in range(1, 100)],
        [f"P{number:03d}" for number in (*range(1, 60), *range(101, 160))],
        [f"P{number:03d}" for number in (*range(1, 21), 301)],
        [f"HN1_{number:04d}" for number in (1987, 2001, 2012, 12, 300)],
        [f"TCGA-CV-{number}" for number in (1987, 2019, 2020, 7243, 7245)],
        [f"S{number}" for number in (1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 401, 946)],
    ],
    ids=["two of each exchange", "two sites", "of none", "few", "of a registry", "with gaps"],
)
def test_numbers_that_may_be_patients_are_left_alone(ids):
    """P012 and P021 are two patients of a cohort that is numbered on and on; what is told of them would be no news."""
    assert may_be_one(ids) == []


def test_numbers_of_six_and_eight_digits_by_chance_are_left_alone():
    """Of 200 cohorts of 200 pseudonyms none has two that may be one; nor numbers in a row or dates of one form."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        eight, six = rng.integers(0, 10**8, 100), rng.integers(0, 10**6, 100)
        assert list(as_birthday([*(f"{each:08d}" for each in eight), *(f"{each:06d}" for each in six)])) == []
    assert may_be_one([f"{19610300 + number}" for number in range(200)]) == []
    days = np.arange("1961-01-01", "1962-01-01", 2, dtype="datetime64[D]").astype(str)
    assert list(as_birthday([day.replace("-", "")[2:] for day in days])) == []


def test_what_is_surely_one_is_not_told_here():
    assert may_be_one([*USUAL, "p-05"]) == []


def test_an_id_whose_letters_and_number_change_places_is_told():
    assert may_be_one(["AB-05", "CD-06", "05-AB", "EF-07"]) == [("05-AB", "AB-05")]
    assert may_be_one(["01-02", "02-01", "A1-B2", "B2-A1"]) == []


@pytest.mark.parametrize(
    "pair",
    [
        ("Doe_Eva", "Eva_Doe"),
        ("Mueller_Anna", "Muller_Anna"),
        ("KOENIG", "Konig"),
        ("Müller_Jan", "Mueller_Jan"),  # of folders and PatientIDs: ids of a manifest have plain letters
        ("José", "JOSE"),
        ("1961-03-07", "07.03.1961"),
        ("1972-06-30", "30-06-1972"),
        ("1950-11-21", "21.11.50"),
        ("03/07/1961", "1961-03-07"),
        ("19610307", "07031961"),
        ("19610307", "03071961"),
        ("19610307", "070361"),
        ("19610307", "610307"),
        ("1961-03-07", "07031961"),
        ("070361", "07.03.61"),
        ("07.03.1961", "07.03.61"),
        ("20000229", "29022000"),
    ],
)
def test_one_name_or_date_of_birth_that_is_written_in_two_ways_is_told(pair):
    first, later = pair
    assert may_be_one(["Roe_Max", first, "Poe_Ida", "1955-01-31", later]) == [(later, first)]


@pytest.mark.parametrize(
    "pair",
    [
        ("Bauer_Eva", "Baur_Max"),
        ("1961-03-07", "1961-03-08"),
        ("11-02-03", "03-02-12"),
        ("1961-03-07", "1961-07-03"),
        ("19610307", "19610703"),
        ("07031961", "03071961"),
        ("070361", "610307"),
        ("19610230", "30021961"),
        ("19611303", "13131961"),
        ("18990307", "07031899"),
        ("99990307", "07039999"),
        ("12345", "1.2346E+04"),
        ("12345", "1.2345E+03"),
    ],
)
def test_names_and_dates_of_two_people_are_left_alone(pair):
    assert may_be_one([*USUAL, *pair]) == []


@pytest.mark.parametrize(
    "pair",
    [
        ("P05_pre", "P05_post"),
        ("P05-baseline", "P05-followup"),
        ("P05_20190101", "P05_20200301"),
        ("P05_2019-01-01", "P05_2020-03-01"),
        ("20190101_P05", "20200301_P05"),
        ("P05_190101", "P05_200301"),
        ("P05_2019", "P05_2020"),
        ("P05_t1", "P05_t2"),
        ("sub-05_ses-1", "sub-05_ses-2"),
        ("V1_P05", "V2_P05"),
        ("V1P05", "V2P05"),
        ("P05pre", "P05post"),
        ("P05 visit 1", "P05 visit 2"),
        ("P05_pre_op", "P05_post_op"),
        ("5_v1", "05_v2"),
        ("P05_v1", "P05_20200301"),
        ("AB_pre", "AB_post"),
    ],
)
def test_ids_of_one_stem_with_visits_are_told(pair):
    others = [each for each in USUAL if each != "P05"]
    assert of_visits([pair[0], *others, pair[1]]) == [pair]


def test_ids_that_all_have_visits_are_told_in_groups_as_they_come():
    ids = [f"P{number:02d}_t{time}" for time in (1, 2) for number in range(1, 11)]
    groups = of_visits([*ids, "P10_t3"])
    assert groups[0] == ("P01_t1", "P01_t2") and groups[-1] == ("P10_t1", "P10_t2", "P10_t3")
    assert len(groups) == 10
    assert in_groups(groups[:2]) == "P01_t1, P01_t2; P02_t1, P02_t2"
    assert in_groups(groups).endswith("; P08_t1, P08_t2; and 2 more such groups")


@pytest.mark.parametrize(
    "ids",
    [
        USUAL,
        [f"HN-{site}-{number:03d}" for site in ("CHUM", "HGJ", "HMR", "CHUS") for number in range(1, 30)],
        [f"TCGA-{site}-{number}" for site in ("CV", "QK") for number in (1987, 2019, 2020, 7243, 7245)],
        [f"STS_{number:03d}" for number in range(1, 52)],
        [f"BraTS-GLI-{number:05d}-000" for number in range(60)],
        [f"sub-{number:02d}" for number in range(1, 31)],
        [f"{year}-{number:03d}" for year in (2018, 2019, 2020) for number in range(1, 51)],
        [f"{number}/{year}" for year in (2018, 2019, 2020) for number in range(1, 9)],
        [f"{site}-{number:02d}" for site in "ABCDMTVWY" for number in range(1, 5)],
        [f"{letter}{number:02d}" for letter in "MTV" for number in range(1, 31)],
        [f"S1-M{number:02d}" for number in range(1, 21)],
        [f"{site}-V{number:02d}" for site in "AB" for number in range(1, 4)],
        [f"center{site}-V{number:02d}" for site in (1, 2) for number in range(1, 4)],
        [f"2019-{number}" for number in range(1, 51)],
        ["HN1_1987", "HN1_2001", "HN1_0300"],
        ["100245-7", "100301-1", "100302-2", "100305-7"],
        ["001M55", "002F60", "003M55", "004M12"],
        ["19700101", "19650303"],
        ["AB_19700101", "AB_19650303"],
        [],
    ],
)
def test_numbers_sites_and_years_are_no_visits(ids):
    assert of_visits(ids) == []
