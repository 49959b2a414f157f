"""A check of a cohort never ends without a word because a fact that it asks for is missing or is called otherwise."""

import pytest
from stores import scan

from data_prep.oddities.fields import odd_fields, spellings
from data_prep.oddities.numbers import odd_numbers
from data_prep.oddities.odd_lesions import odd_drawn_lesions, odd_pieces
from data_prep.oddities.one_sided import one_sided
from data_prep.oddities.planes import odd_planes
from data_prep.oddities.taken import odd_codes

CHECKS = {
    "odd_codes": odd_codes,
    "odd_drawn_lesions": lambda scans, modalities: odd_drawn_lesions(scans),
    "odd_fields": odd_fields,
    "odd_numbers": odd_numbers,
    "odd_pieces": lambda scans, modalities: odd_pieces(scans),
    "odd_planes": odd_planes,
    "one_sided": one_sided,
    "spellings": lambda scans, modalities: spellings(scans),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_without_its_facts_is_an_error(check):
    scans = [scan("p0", (0, 4)), scan("p1", (0, 0))]
    with pytest.raises(KeyError):
        list(CHECKS[check](scans, ["pet"]))
