"""What is said of a pair of variants: which scored higher, and what would have been seen."""

import numpy as np
import pytest
from reports import words
from run_folders import add_trial, levels_of, random_run, small_study

from hnscc.aggregation.build import write_tables
from hnscc.reporting.sections.comparisons import pairs_of_variants
from hnscc.reporting.sections.overlap import overlap_slice_by_slice
from hnscc.reporting.sections.verdicts import VERDICTS, compared
from hnscc.reporting.source import read_source
from hnscc.study.trials import trials_of


def test_a_difference_that_is_found_is_never_called_the_same(tmp_path):
    """Of 0.0002, which holds up, it was said that both scored the same, and that the difference holds up."""
    study = small_study(repeats=2)
    run = random_run(tmp_path, study, patients=24)
    masks = np.load(run.fold(0).truth)["masks"]
    for trial in trials_of(study):
        add_trial(run, study, trial, levels_of(masks * (0.9 if trial.repeat else 0.8)))
    write_tables(run)
    source = read_source(run)
    (said, *_) = compared(source)
    assert "both scored the same; " in said
    (row,) = pairs_of_variants(source)
    row |= {"difference": 0.0002, "low": 0.0001, "high": 0.0003, "p": 0.001, "p_holm": 0.001}
    (said,) = compared(source)
    assert "+0.000 (95 % interval +0.000 to +0.000; p 0.001" in said and VERDICTS["clear"] in said
    assert "PET scored higher; " in said and "the same" not in said
    row |= {"p": 0.06, "p_holm": 0.06}  # which of them scored higher, three decimals do not show
    assert "both scored alike; no difference is shown." in next(compared(source))
    row |= {"difference": -0.0006}
    assert "pet_mri scored higher; no difference is shown." in next(compared(source))


@pytest.mark.parametrize(("variants", "told"), [(("pet", "mri"), False), (("pet", "mri", "ct"), True)])
def test_by_which_p_a_difference_would_have_been_seen_is_told_of_several_pairs(tmp_path, variants, told):
    """`seen from` is by p of the pair, and the conclusion by p after Holm."""
    run = random_run(tmp_path, small_study(variants, repeats=2), patients=18)
    write_tables(run)
    said = list(compared(read_source(run)))[-1]
    assert "in 80 of 100 such studies" in said and ("before Holm" in said) == told


def test_it_is_told_that_repeats_added_because_of_a_p_make_it_too_small(tmp_path):
    """Of equal variants up to 17 of 100 are called different so, and pages invited to add repeats."""
    run = random_run(tmp_path, small_study(repeats=2))
    text, _ = words(run, overlap_slice_by_slice)
    assert "repeats that are added because it was not small make it too small" in text


@pytest.mark.parametrize(
    ("number", "told"), [(5, "Compared in pairs: all."), (4, "Compared in pairs: none.")]
)
def test_which_variants_are_compared_by_paired_repeats_is_told(tmp_path, number, told):
    """The report said of all t tests that all repeats count, and nowhere which were of pairs."""
    run = random_run(tmp_path, small_study(repeats={"number": number, "paired": True}))
    text, _ = words(run, overlap_slice_by_slice)
    assert told in text and "they are not made wider for the number of pairs" in text
    assert "in this summary are of all repeats at threshold 0.5" in text
