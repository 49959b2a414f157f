"""The three splits of a cohort, in the order in which slices, tables and reports name them."""

SPLITS = ("train", "validation", "test")
IN_WORDS = {"train": "training", "validation": "validation", "test": "test"}
HELD_OUT = ("validation", "test")  # the splits whose slices are not trained on
