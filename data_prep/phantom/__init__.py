"""Makes up a cohort: a head and neck from formulas, with tumours and lookalikes, written as ordinary files."""

# The defaults: as many patients as in Liedes et al. 2023, and the seed of the studies.
PATIENTS, SEED = 44, 2023
