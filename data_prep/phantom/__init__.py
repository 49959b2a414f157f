"""The made-up cohort: a head and neck drawn from formulas, with tumours and what looks like them, as ordinary files."""
