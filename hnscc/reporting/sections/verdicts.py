"""What may be said about the difference between two variants: the points "Differences in test Dice" of "In brief"."""

from collections.abc import Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.base import fewest
from hnscc.reporting.sections.comparisons import (
    both_hardly_overlap,
    collapsed_of_pair,
    pair,
    pairs_of_variants,
    tells_of_others,
)
from hnscc.reporting.source import Source
from hnscc.reporting.values import p_value, score, signed
from hnscc.scores.intervals import ALPHA, few_repeats

ONE_EACH = (
    f"only one repeat each: no interval; `repeats: {fewest.KNOWN_REPEATS}` or more gives one to rely on"
)
VERDICTS = {
    "clear": "the difference holds up, for patients and trainings like these.",
    "suggestive": "a hint, which does not hold up once corrected for the number of comparisons.",
    "collapsed": "there is nothing to compare.",
    "hardly": "that no difference is shown says nothing of trainings that work.",
    "untested": "there is no test, so this cannot tell.",
    "equal": "no difference is shown, and they are equal up to the margin that the study names.",
    "open": "no difference is shown.",
    "lone": "without an interval this says little.",
    "none": "not comparable.",
}


def compared(source: Source) -> Iterator[str]:
    """Say for each pair what its difference in pooled test Dice over all repeats allows to conclude; the best two
    come first."""
    best = _best_two(source)
    found = set()
    for row in sorted(
        pairs_of_variants(source), key=lambda row: {row["variant_a"], row["variant_b"]} != best
    ):
        said, collapsed = verdict(row), collapsed_of_pair(source, row)
        if said != "none" and len(collapsed) == 2:
            said = "collapsed"
        elif said in ("equal", "open") and not tells_of_others(source, row):
            said = "hardly"
        found.add(said)
        yield f"{_difference(source, row)}: {_higher(source, row, collapsed, said)}{VERDICTS[said]}"
    if "open" in found:
        yield (
            "Where no difference is shown there may be one all the same: the interval says how large, and `seen from`, "
            f"where it is given, which would have been found in 80 of 100 such studies{_of_several(source)}."
        )


def _of_several(source: Source) -> str:
    """Say, where several pairs are compared, which p decides whether a difference is found."""
    tested = [row for row in pairs_of_variants(source) if row["p"] is not None]
    return ", by p before Holm (fewer find it after)" if len(tested) > 1 else ""


def _best_two(source: Source) -> set[str]:
    """Return the two variants whose repeats have the highest median test Dice."""
    rows = [row for row in source.rows("pooled", split="test") if row["dice_repeats_median"] is not None]
    rows.sort(key=lambda row: row["dice_repeats_median"], reverse=True)
    return {row["variant"] for row in rows[:2]}


def verdict(row: TableRow) -> str:
    """Return what the t test over patients and repeats allows to conclude: one of the names of VERDICTS.

    row: of table `comparisons`.
    """
    if row["difference"] is None:
        return "none"
    if row["low"] is None:
        return "lone"
    if row["p_holm"] is None:
        return "untested"
    if row["p_holm"] < ALPHA:
        return "clear"
    if row["p"] < ALPHA:
        return "suggestive"
    return "equal" if row["p_equal_holm"] is not None and row["p_equal_holm"] < ALPHA else "open"


def _higher(source: Source, row: TableRow, collapsed: list[str], said: str) -> str:
    """Say which variants of the pair mostly collapsed, and which one scored higher, if a test or three decimals
    show it. said: the name of the pair's verdict."""
    if row["difference"] is None:
        return ""
    if len(collapsed) == 2:
        return "both mostly collapsed; "
    alone = f"{source.appearances[collapsed[0]].label} mostly collapsed; " if collapsed else ""
    hardly = "both hardly overlap the lesions; " if both_hardly_overlap(source, row) else ""
    if not round(row["difference"], 3) and said not in ("clear", "suggestive"):
        alike = "the same" if signed(row["difference"]) == signed(0.0) else "alike"
        return f"{hardly or f'both scored {alike}; '}{alone}"
    better = row["variant_a"] if row["difference"] > 0 else row["variant_b"]
    return f"{hardly}{source.appearances[better].label} scored higher; {alone}"


def _difference(source: Source, row: TableRow) -> str:
    """Return the difference in the direction of the tables, first minus second, with its interval and the
    corrected p."""
    name, value, low, high = pair(source, row), row["difference"], row["low"], row["high"]
    if value is None:
        return f"{name} ({row['reason']})"
    if low is None:
        one_each = source.study.most_repeats == 1 and row["reason"] == few_repeats((1, 1))
        return f"{name} {signed(value)} ({ONE_EACH if one_each else row['reason']})"
    p = row["reason"] if row["p_holm"] is None else f"p {p_value(row['p_holm'])} after Holm"
    told = tells_of_others(source, row)
    seen = f"; seen from {score(row['smallest_seen'])}" if told and row["smallest_seen"] is not None else ""
    equal = (
        ""
        if not told or row["p_equal_holm"] is None
        else f"; test against a difference of {row['margin']:g} or more: "
        f"p {p_value(row['p_equal_holm'])} after Holm"
    )
    return f"{name} {signed(value)} (95 % interval {signed(low)} to {signed(high)}; {p}{seen}{equal})"
