"""Masks that are drawn larger than their lesion, as a radiotherapy target with its margin is, or smaller, as a core.

Where a mask is moved out or in as a whole, values fall most across its border further in or further out; more than
they do where it is moved, mirrored or turned, which tells it from a mask that lies elsewhere.
"""

from collections.abc import Container, Iterator, Sequence
from statistics import fmean, median

from scipy import stats

from data_prep.oddities.odd import comparable
from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd, of_some
from data_prep.oddities.off_border import CLEARLY_NOT_SHARE, SHOWN_FALL, Edge, edges_by_sign
from hnscc.cohort.store_format import Scan

# Times clearer there than where the mask lies, at least. True masks of made-up heads have up to 0.62 times further in
# and 0.93 out, and grown by a voxel of 4 mm 0.96 in; of the real cohort, drawn less closely, up to 1.07 and 2.
# So it must also be so many times what every other scan has, and come by chance once in 2,000, were all normal: of
# 6,000 random choices of 5 to 20 true masks of the real cohort 30 are told.
CLEARER_TIMES, APART_TIMES, CHANCE_PROBABILITY = 0.9, 1.3, 0.0005
MOST_TIMES = 1.2  # more counts as that
LEAST_OTHERS = 2  # scans that show what is usual
WAYS = (
    ("in", "larger", "was a margin drawn with it, as around what is irradiated? Draw the lesion alone"),
    ("out", "smaller", "was its core drawn alone, as by a high threshold? Draw the whole lesion"),
)


def resized(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """A sentence on the scans whose masks are drawn larger, or smaller, than their lesion, where others are not.

    known: scans with a modality, or with a mask (MASK), on which something likelier is told.
    """
    told: set[str] = set()
    for modality in modalities:
        edges = edges_by_sign(comparable(scans, modality, known), modality)
        if len(edges) < LEAST_SCANS:
            continue
        for way, size, why in WAYS:
            wrong = [scan for scan in _resized(edges, f"further {way}") if scan.scan_id not in told]
            text = (
                f"the mask is drawn {size} than the lesion that {modality} shows: its values fall more across the "
                f"mask's border 4 or 8 mm further {way} than where it lies, beside the other scans; {why}"
            )
            yield from of_some(scans, wrong, text, files=(MASK,), shown_in=MASK)
            told |= {scan.scan_id for scan in wrong}


def _resized(edges: Sequence[Edge], way: str) -> list[Scan]:
    """The scans whose masks have their border further in, or out, of a cohort that is parted by it."""
    there = [(edge, max(fall for how, fall in edge.elsewhere.items() if how.endswith(way))) for edge in edges]
    least = max(SHOWN_FALL, median(edge.own for edge in edges)) * CLEARLY_NOT_SHARE
    found, others = [], []
    for edge, fall in there:
        if fall >= max(least, edge.moved, CLEARER_TIMES * edge.own):
            found.append((edge.scan, _times(fall, edge.own)))
        elif edge.own >= SHOWN_FALL:
            others.append(_times(fall, edge.own))
    if not found or len(others) < LEAST_OTHERS:
        return []
    theirs = [times for _, times in found]
    free = len(theirs) + len(others) - 2
    variance = sum((each - fmean(part)) ** 2 for part in (theirs, others) for each in part) / free
    # The fewer the scans, the less is known of how much right ones differ.
    wider = float(stats.t.isf(CHANCE_PROBABILITY, free)) * (1 + 1 / len(others)) ** 0.5
    most = max(max(others) * APART_TIMES, fmean(others) + wider * variance**0.5)
    return [scan for scan, _ in found] if min(theirs) >= most else []


def _times(fall: float, own: float) -> float:
    """How many times further values fall there."""
    return min(fall / own, MOST_TIMES) if own > 0 else MOST_TIMES
