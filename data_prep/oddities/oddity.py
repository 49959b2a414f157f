"""Defines one thing that is odd about a scan or a cohort, and what all checks share: groups, limits and names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hnscc.base.arrays import Floats
from hnscc.base.in_words import count_of, first_of
from hnscc.cohort.placement import unseen_by_modality
from hnscc.cohort.store_format import Scan

LEAST_SCANS = 5  # with fewer scans, nothing is compared with the others' median
ODD_SDS = 4.0  # robust standard deviations from the median that make a scan an outlier
SD_BY_MEDIAN = 1.4826  # standard deviation of a normal distribution by its median absolute deviation
MAJORITY_SHARE = 0.6  # of the scans: a smaller group is not the one that others are compared with
CLEAR_TIMES = 3.0  # times the spread within groups: the gap between them is at least so wide
NAMED_SCANS = 8  # scans of a group that are named, at most
MASK = "mask"  # how sentences name the file of a scan's mask
CUT_SHARE = 0.1  # of a scan's slices: a modality that leaves more of them unshown is cut short


@dataclass(frozen=True)
class Odd:
    """One sentence on one scan, or on the cohort where `scan_id` is None. `refused`: it needs a reason to go on.

    files: those of the scan that the sentence is about, by the names of their modalities, or MASK. shown: scans with
    a modality whose body looks otherwise for this reason, so that no other sentence guesses why. among: for a
    sentence on the cohort, the ids of the scans that it is about, each with these files; empty where it is about all,
    or about groups.
    """

    scan_id: str | None
    text: str
    files: tuple[str, ...]
    refused: bool = False
    shown: tuple[tuple[str, str], ...] = ()
    among: tuple[str, ...] = ()


def of_cohort(text: str, refused: bool = False) -> Odd:
    """Return a sentence on the cohort as a whole, and so about no file of a scan; arguments are as in `Odd`."""
    return Odd(None, text, (), refused)


def cut_short(scan: Scan, modality: str | None = None) -> bool:
    """Return whether a modality, any if none is named, leaves more than a tenth of the scan's slices unshown.

    This is reported; its values are then of another part of the body than in other scans, or of a filling.
    """
    unseen = unseen_by_modality(scan.placement)
    names = unseen if modality is None else [modality]
    return any(len(unseen.get(name, ())) > CUT_SHARE * scan.slices for name in names)


def grouped(values: Sequence[float], least: float) -> list[list[int]]:
    """Return positions of values in clear groups, ascending: gaps are at least `least`, and wide compared with
    the spread.

    There is one group where the values are of one kind, or fewer than LEAST_SCANS.
    """
    order = [int(at) for at in np.argsort(values, kind="stable")]
    pieces = [order[:1]]
    for before, at in pairwise(order):
        if values[at] - values[before] >= least:
            pieces.append([])
        pieces[-1].append(at)
    spread = float(
        np.sqrt(sum(np.var([values[at] for at in piece]) * len(piece) for piece in pieces) / len(order))
    )
    gaps = [values[after[0]] - values[piece[-1]] for piece, after in pairwise(pieces)]
    if len(order) < LEAST_SCANS or any(gap < CLEAR_TIMES * spread for gap in gaps):
        return [order]
    return pieces


def has_majority(groups: Sequence[Sequence[object]]) -> bool:
    """Return whether one group is large enough for the others to be compared with it."""
    return max(map(len, groups)) >= MAJORITY_SHARE * sum(map(len, groups))


def robust_sd(deviations: Sequence[float] | Floats) -> float:
    """Return the standard deviation by a measure that half of the values, as outliers, do not change.

    deviations: (n,) from the median, in any unit, which the result keeps.
    """
    return SD_BY_MEDIAN * float(np.median(np.abs(deviations)))


def limit(deviations: Sequence[float] | Floats, least: float, sds: float = ODD_SDS) -> float:
    """Return the deviation from which on a value is an outlier: so many robust standard deviations, and at
    least `least`.

    deviations: (n,) from the median, in any unit; `least` and the result are in the same.
    """
    return max(least, sds * robust_sd(deviations))


def scans_in_words(scan_ids: Sequence[str]) -> str:
    """Return scans in words: their number and their ids, of many only the first."""
    return f"{count_of(len(scan_ids), 'scan')} ({first_of(scan_ids, NAMED_SCANS)})"


def times(ratio: float) -> str:
    """Return a ratio in words that precede what it refers to: "3.9 times", "1/3.9 of"."""
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"


def of_some(
    scans: Sequence[Scan],
    chosen: Sequence[Scan],
    text: str,
    *,
    files: tuple[str, ...],
    refused: bool = False,
    shown_in: str | None = None,
) -> Iterator[Odd]:
    """Yield one sentence on the chosen scans of a cohort; none where none is chosen.

    Where there are several, it says how many of them hold lesion, since what one side alone has gives the lesions away.
    files: the files of each scan that it is about (`Odd.files`). shown_in: the modality whose body looks otherwise
    because of it (`Odd.shown`).
    """
    shown = tuple((scan.scan_id, shown_in) for scan in chosen) if shown_in else ()
    if len(chosen) == 1:
        yield Odd(chosen[0].scan_id, text, files, refused, shown)
    elif chosen:
        with_lesion = sum(scan.has_lesion for scan in scans)
        with_ = sum(scan.has_lesion for scan in chosen)
        sides = f"{with_} of {with_lesion} with lesion, {len(chosen) - with_} of {len(scans) - with_lesion} without"
        ids = [scan.scan_id for scan in chosen]
        among = tuple(ids) if len(chosen) < len(scans) else ()
        yield Odd(None, f"in {scans_in_words(ids)}, {sides}, {text}", files, refused, shown, among)
