"""The page on validity: which shares lie beyond an aim, and what that means. benchmarks/validity.py finds
the shares."""

import textwrap
from collections.abc import Sequence
from datetime import date

from figures import machine

COLUMNS = (
    *(
        "simulation",
        "patients",
        "repeats",
        "one model covers",
        "variant covers",
        "pooled rejects",
        "mean rejects",
    ),
    *("any of four, after Holm", "planted: found", "forecast"),
)
HEAD = ("| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS))

# The aims of the columns between the cell's name and the planted differences.
AIMS = (
    *(("interval of one model", 0.93, 0.975), ("of a variant", 0.93, 0.975)),
    *(("pooled difference", 0.02, 0.065), ("mean difference", 0.02, 0.065)),
    ("after Holm", 0.0, 0.06),
)
OFF = 7.0  # points by which found and forecast may differ
WIDTH = 118

Cell = tuple[str, int, int]  # simulation, patients, repeats
STANDS_FOR = {
    "regular": "lesions (SD of the logarithm of their size: 1.0), patients (0.8) and trainings (0.2) vary least, "
    "and no patient is hard",
    "heavy": "a few large lesions hold most of the voxels (SD of the logarithm 1.5), and patients (1.2) and "
    "trainings (0.5) vary more",
    "misses": "one patient in ten is hard: the lesion is missed in 9 of 10 trainings (patients 1.0, trainings "
    "0.35)",
    "unruly": "trainings vary most (0.8), large lesions score worse than small ones, and one patient in 20 is "
    "hard (patients 1.2)",
}
PLANTED = (
    "What is planted: in each cell the difference that studies of that size would find in 80 of 100 cases, by the "
    "forecast from equal variants. It is given to the better variant as a shift of the logit of every Dice, by which "
    "a Dice of 0.7 rises by about so much. The pooled Dice rises by less (in {sizes}), and studies with a difference "
    "vary more: so fewer than 80 % find it. Found is to be compared with the forecast in its own row, which is of what "
    "came of it; not with other rows, whose differences are others."
)
WHAT_FAILS = (
    "What falls short: with 2 repeats only large differences are found, however many patients there are, since the "
    "spread of 2 trainings is often small by luck, so that little can be known from 2 ([how the limits are "
    "made](statistics.md#intervals-all-are-95-)). One fold, one hospital: neither the choice of training patients nor "
    "another scanner is in any of these figures."
)
WHY_OFF = (
    "The forecast is that of studies of the same two variants, by the mean of their parts of variance. It heeds that "
    "the patients whom a study has decide both how far its difference scatters and how wide its limits are, and that "
    "a study with a large difference finds a large variance too ([how it reckons](statistics.md)). Both are needed: "
    "without the first {cohorts} would be off by {by_cohorts:+.1f}, without the second {estimates} by "
    "{by_estimates:+.1f} ({studies:,} other studies; `python benchmarks/validity.py --why` prints what parts found and "
    "forecast). A forecast from one pilot is less certain than any of these: `hnscc plan` prints its range."
)
# The cells in which it does most harm to take all cohorts as weighing alike, and differences as independent of the
# variance found.
OFF_BY_COHORTS, OFF_BY_ESTIMATES = ("regular", 10, 50), ("unruly", 5, 3)
# The cells whose planted differences the page names.
SIZED = (("regular", 5, 2), ("regular", 60, 2), ("regular", 60, 50))


Cells = dict[Cell, list[float]]  # the figures of every cell, one for each column


def line(cell: Cell, found: list[float]) -> str:
    return f"| {' | '.join(map(str, cell))} | {' | '.join(f'{100 * each:.1f} %' for each in found)} |"


def page(
    cells: Cells,
    again: Cells,
    off: tuple[float, float],
    planted: Sequence[tuple[float, float]],
    *,
    studies: int,
    times: int,
    checked: int,
) -> str:
    """Return docs/explanation/validity.md: how the figures were made, how far they reach, and the table.

    off: by how many points found and forecast would differ in OFF_BY_COHORTS and in OFF_BY_ESTIMATES. planted: for each
    of SIZED the difference at a Dice of 0.7, and what became of it in pooled Dice.
    """
    cohorts, estimates = (
        f"{simulation} {patients} x {repeats}"
        for simulation, patients, repeats in (OFF_BY_COHORTS, OFF_BY_ESTIMATES)
    )
    why_off = WHY_OFF.format(
        cohorts=cohorts, by_cohorts=off[0], estimates=estimates, by_estimates=off[1], studies=studies
    )
    made = (
        f"Simulated studies (`benchmarks/validity.py`; {studies:,} a cell; {date.today().isoformat()}, {machine()}; "
        "what was chosen at random decides the figures, not the machine). All studies of a cell are computed at once; "
        f"of {checked} or more of each the product's own `pooled_interval`, `pooled_difference` and `mean_difference` "
        "gave the same intervals and p."
    )
    return "\n".join(
        [
            "# Validity: do the intervals cover, do the tests keep their level?",
            "",
            "<!-- Written by `make validity`; do not edit by hand. -->",
            "",
            *textwrap.wrap(made, WIDTH),
            "",
            *textwrap.wrap(ranges(cells, studies), WIDTH),
            "",
            *textwrap.wrap(beyond_the_aims(cells, again, times), WIDTH),
            "",
            "Four simulations of how the Dice of a patient varies, on the logit scale:",
            "",
            "| simulation | what it stands for |",
            "|---|---|",
            *(f"| {name} | {words} |" for name, words in STANDS_FOR.items()),
            "",
            *textwrap.wrap(planted_told(planted), WIDTH),
            "",
            *textwrap.wrap(WHAT_FAILS, WIDTH),
            "",
            *textwrap.wrap(why_off, WIDTH),
            "",
            *HEAD,
            *(line(cell, found) for cell, found in cells.items()),
            "",
        ]
    )


def planted_told(planted: Sequence[tuple[float, float]]) -> str:
    """Return what a planted difference is, with the sizes of those in SIZED."""
    sizes = (
        f"{simulation} {patients} x {repeats} by {came:.3f} where {meant:.3f} was meant"
        for (simulation, patients, repeats), (meant, came) in zip(SIZED, planted, strict=True)
    )
    return PLANTED.format(sizes=", ".join(sizes))


def ranges(cells: Cells, studies: int) -> str:
    """Return the least and the most of every column, beside its aim."""
    columns = list(zip(*cells.values(), strict=True))
    least = [f"{100 * min(each):.1f} to {100 * max(each):.1f} %" for each in columns]
    beyond = [_beyond_forecast(found) for found in cells.values()]
    return (
        f"Of {len(cells)} cells: the interval of one model covers {least[0]}, that of a variant {least[1]} (aim 93 to "
        f"97.5 %); equal variants are called different in {least[2]} (pooled) and {least[3]} (mean over patients) of "
        f"studies (aim 2 to 6.5 %); of four equal variants any pair holds up after Holm in {least[4]} (aim at most 6 "
        f"%). A planted difference is found by up to {-min(beyond):.1f} points less often than forecast and by up to "
        f"{max(beyond):.1f} more often (aim {OFF:g}). The standard error of a cell is at most {50 / studies**0.5:.1f} "
        f"points, of a share of 5 % {100 * (0.05 * 0.95 / studies) ** 0.5:.1f}."
    )


def beyond_the_aims(cells: Cells, again: Cells, times: int) -> str:
    """Return the cells that miss an aim, by name, with what was found there, and what the second time."""
    told = []
    for column, what in enumerate(
        (*(what for what, _, _ in AIMS), "planted differences, points beyond the forecast")
    ):
        named = [
            f"{simulation} {patients} x {repeats} ({_told(found, column)}; again {_told(again[cell], column)})"
            for cell, found in cells.items()
            if missed(found)[column]
            for simulation, patients, repeats in [cell]
        ]
        told.append(f"{what}: {', '.join(named) or 'none'}")
    return (
        "Cells beyond an aim (simulation, patients x repeats; in brackets what was found, and again, for some miss by "
        f"chance, of {times} times as many other studies). {'; '.join(told)}."
    )


def missed(found: list[float]) -> list[bool]:
    """Return, for each column that has an aim, and for the planted differences, whether it lies beyond the aim."""
    within = [low <= each <= high for each, (_, low, high) in zip(found, AIMS, strict=False)]
    return [not each for each in (*within, abs(_beyond_forecast(found)) <= OFF)]


def _told(found: list[float], column: int) -> str:
    return f"{100 * found[column]:.1f} %" if column < len(AIMS) else f"{_beyond_forecast(found):+.1f}"


def _beyond_forecast(found: list[float]) -> float:
    """Return by how many points a planted difference is found more often than forecast, both as rounded in
    the table."""
    share, forecast = (round(100 * each, 1) for each in found[len(AIMS) :])
    return share - forecast
