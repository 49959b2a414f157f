"""Types and meanings of the columns of a search's tables."""

import pyarrow as pa

from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES

# What may become of a configuration, and what is said of it beside its name.
PLACES = {
    "winner": "",
    "not_distinguished": "from the winner",
    "dismissed": "worse by a paired test",
    "set_aside": "one repeat, which nothing can be tested on",
    "stopped": "across epochs",
    "failed": "",
    "untrained": "the budget was spent before",
}
_PLACES_IN_WORDS = "; ".join(f"{name} ({why})" if why else name for name, why in PLACES.items())

SEARCH: dict[str, tuple[pa.DataType, str]] = {
    "configuration": (TEXT, "name of the configuration: the variant of its trials"),
    "rank": (WHOLE, "rank of the configuration, the winner's being 1; more repeats go before a higher score"),
    "place": (TEXT, f"what became of it: {_PLACES_IN_WORDS}"),
    "written": (YES, "whether it stands in winners.yaml"),
    "score": (REAL, "mean over its repeats of best_val_soft_jaccard"),
    "score_sd": (REAL, "sample standard deviation (n - 1) over its repeats of best_val_soft_jaccard"),
    "score_low": (REAL, "lower end of the 95 % t interval of score over repeats"),
    "score_high": (REAL, "upper end of the 95 % t interval of score over repeats"),
    "val_dice_mean": (REAL, "mean over its completed repeats of val_dice, the pooled validation Dice at 0.5"),
    "round": (WHOLE, "the last round of the race that it ran in; 0 stands for its first repeats"),
    "pairs": (WHOLE, "number of repeats that it and the winner have in common"),
    "behind": (REAL, "the winner's score less this one's, over these pairs"),
    "behind_low": (REAL, "lower end of the 95 % t interval of behind, by the variance of the paired test"),
    "behind_high": (REAL, "upper end of that interval"),
    "p_worse": (REAL, "one-sided p of the paired test that it is worse than the winner, not corrected"),
    "trials": (WHOLE, "number of trials begun"),
}
