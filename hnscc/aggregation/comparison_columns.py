"""The columns of table `comparisons`: their type and meaning. `columns` joins them to all others."""

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES

COMPARISONS: dict[str, tuple[pa.DataType, str]] = {
    "variant_a": (TEXT, "the variant of the pair that stands first in the study file"),
    "variant_b": (TEXT, "the other variant of the pair"),
    "unit": (
        TEXT,
        "what is paired: slice (slices of one patient are not independent) or patient (the score of each)",
    ),
    "method": (
        TEXT,
        "two_way_t: t test of the means over repeats, all repeats at 0.5, over patients and repeats together: the one "
        "to conclude from. wilcoxon: signed-rank test of the two median models at their chosen thresholds, which says "
        "nothing of other trainings. bootstrap: all repeats at 0.5, patients and repeats resampled together",
    ),
    "n_nonzero": (WHOLE, "number of pairs that differ (wilcoxon)"),
    "statistic": (REAL, "the smaller sum of signed ranks (wilcoxon)"),
    "p": (REAL, "two-sided p value, not corrected for the number of pairs of variants"),
    "smallest_p": (
        REAL,
        "the smallest p that the test could have given (wilcoxon, by its exact distribution 2 to the 1 - n_nonzero; "
        "bootstrap)",
    ),
    "p_holm": (
        REAL,
        "p corrected by Holm's method over the pairs of variants that have one, within metric, slice_set, unit and "
        "method",
    ),
    "difference": (
        REAL,
        "variant_a less variant_b: of the means over repeats (two_way_t), mean over pairs (wilcoxon), or of the "
        "medians over repeats (bootstrap)",
    ),
    "low": (REAL, "lower end of the 95 % interval of difference (two_way_t, bootstrap)"),
    "high": (REAL, "upper end of the 95 % interval of difference (two_way_t, bootstrap)"),
    "repeats_a": (WHOLE, "number of repeats of variant_a (two_way_t)"),
    "repeats_b": (WHOLE, "number of repeats of variant_b (two_way_t)"),
    "effective_patients": (
        REAL,
        "number of lesion patients of equal weight that would carry as much, by the true and predicted pixels of each; "
        "at most those there are, and patients without lesion add nothing; below 3, an interval rests on few lesions "
        "(two_way_t, of what is pooled)",
    ),
    "smallest_seen": (
        REAL,
        "the smallest true difference that 80 of 100 studies of this size find, by p before Holm's correction; null "
        "where p is, and where it would be more than the largest difference there can be, such as 1 of Dice "
        "(two_way_t)",
    ),
    "margin": (
        REAL,
        "a difference below it counts as none: `evaluation.margin` of the study file (two_way_t, of what is pooled)",
    ),
    "p_equal": (
        REAL,
        "p of the hypothesis that the true difference is margin or more, either way, by two one-sided t tests, not "
        "corrected for the number of pairs of variants (two_way_t, of what is pooled, where a margin is named)",
    ),
    "p_equal_holm": (
        REAL,
        "p_equal corrected as p_holm is: below 0.05 the variants are equal up to the margin (two_way_t)",
    ),
    "better": (
        REAL,
        "the chance that a training of variant_a has a better score (higher or lower, as higher_is_better says) than "
        "one of variant_b on the same patient (with lesion, but for fp_ml and false_lesions), ties counted half: 0.5 "
        "is even (two_way_t)",
    ),
    "paired": (
        YES,
        "whether repeat r of variant_a was compared with repeat r of variant_b, which shared its seeds: in a study of "
        "paired repeats, from 5 that both completed (two_way_t)",
    ),
    "comparisons.reason": (
        TEXT,
        "why a value that the row's method gives does not exist; null where all do. What it does not give, such as an "
        "interval by wilcoxon, is null without a reason: columns name in brackets the methods that give them",
    ),
    "higher_is_better": (
        YES,
        "whether more of the metric is better, so that a difference above 0 favours variant_a",
    ),
    "better_low": (
        REAL,
        "lower end of the 95 % interval of better, over patients and repeats; null where better is 0 or 1, one variant "
        "having the better score in every pair of trainings on every patient, and where nothing varies (two_way_t)",
    ),
    "better_high": (REAL, "upper end of the 95 % interval of better; null where better_low is (two_way_t)"),
}
