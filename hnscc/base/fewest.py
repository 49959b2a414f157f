"""The least numbers of patients, repeats and values for which an interval, a test, a forecast or a split is made.

Each limit has one name, and docs/explanation/statistics.md prints those of statistics as they stand in IN_WORDS.
"""

PATIENTS = 2  # for any interval over patients: one patient tells nothing of the others
REPEATS = 2  # for any interval over repeats
# With fewer distances, ml or counts, the interval, which is made on the scale of logarithms, spans powers of ten.
PATIENTS_FOR_LOGARITHMS = 4
PATIENTS_FOR_P = 4  # with fewer patients the two-way t test rejects too often in simulation
PAIRED_REPEATS = 5  # with fewer pairs of repeats the paired test rejects too often
KNOWN_REPEATS = 5  # with fewer, their spread is hardly known: intervals are wide
PAIRS_FOR_P = 6  # the signed-rank test of n pairs gives at best 2 / 2^n: 0.0625 for 5 pairs, 0.03125 for 6
# With 2 repeats the bootstrap's interval leaves out 0 far too often (benchmarks/means_and_medians.py).
RESAMPLED_REPEATS_FOR_P = 4
VALUES_FOR_MEDIAN = 6  # the whole range of 5 values holds the median with 93.75 %
VALUES_FOR_MEAN = 3  # the t interval of two values is 12.7 times as wide as their distance: it says nothing
VALUES_FOR_SPREAD = 2  # one value has none
VALUES_FOR_LINE = 3  # two points lie on a line, whatever they are
VALUES_BEYOND_FIT = 5  # values beyond a fit's parameters, below which its R2 is luck
EFFECTIVE_PATIENTS = 3  # in patients of equal weight; below it, one or two lesions decide
VALUES_FOR_QUARTILES = 4  # of 3 values only one is between the quartiles, of 4 exactly half of them
LESION_PATIENTS_OF_SPLIT = 5  # a split with fewer is warned of: its scores are means of very few
LESION_PATIENTS_FOR_FOLDS = 10  # from there on each is tested once, and enough are left to learn from

IN_WORDS = {
    "an interval over patients": f"{PATIENTS} patients (of pooled scores, with lesion)",
    "an interval of a mean of mm, ml or counts": f"{PATIENTS_FOR_LOGARITHMS} patients",
    "an interval over repeats, or of a difference": f"{REPEATS} repeats (of both variants)",
    "p of the two-way t test": f"{PATIENTS_FOR_P} patients and {REPEATS} repeats of both variants",
    "the same in pairs": f"{PAIRED_REPEATS} repeats that both variants completed",
    "p of the bootstrap": f"{PAIRS_FOR_P} patients with lesion and {RESAMPLED_REPEATS_FOR_P} repeats of both variants",
    "p of the signed-rank test": f"{PAIRS_FOR_P} pairs that differ",
    "an interval of the median over repeats": f"{VALUES_FOR_MEDIAN} repeats",
    "an interval of a configuration's score": f"{VALUES_FOR_MEAN} repeats",
    "quartiles over repeats or scans, in the report": f"{VALUES_FOR_QUARTILES} of them; of fewer the least and the "
    "most are told (table `pooled` has them of any number)",
    "a line of predicted against true pixels": f"{VALUES_FOR_LINE} slices",
    "how far a search's setting explains the scores": f"{VALUES_BEYOND_FIT} configurations more than its fit has "
    "parameters",
}
