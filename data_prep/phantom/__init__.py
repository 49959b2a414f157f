"""The made-up cohort: a head and neck made from formulas, with tumours and what looks like them, as ordinary files."""

# Unless another number is asked for: as many patients as in Liedes et al. 2023, and the seed of the studies.
PATIENTS, SEED = 44, 2023
