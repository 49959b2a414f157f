"""Finds masks drawn larger than their lesion, as a radiotherapy target with its margin is, or smaller, as a core is.

If the border of such a mask is moved in or out as a whole, values fall more across it; more, too, than where the mask
is moved, mirrored or turned, which tells it from a mask that lies elsewhere.
"""

from collections.abc import Container, Iterator, Sequence
from statistics import fmean, median

from scipy import stats

from data_prep.oddities.odd import comparable
from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd, of_some
from data_prep.oddities.off_border import CLEARLY_NOT_SHARE, SHOWN_FALL, Edge, edges_by_sign
from hnscc.cohort.store_format import Scan

# Times clearer there than where the mask lies, at least. True masks of made-up heads have at most 0.62 times further in
# and 0.93 further out, and 0.96 further in if grown by a voxel of 4 mm; those of the real cohort, drawn less closely,
# up to 1.07 and 2. So it must also be so many times what every other scan has, with a probability of 1 in 2,000 if all
# were normal: of 6,000 random choices of 5 to 20 true masks of the real cohort 30 are reported.
CLEARER_TIMES, APART_TIMES, CHANCE_PROBABILITY = 0.9, 1.3, 0.0005
MOST_TIMES = 1.2  # a larger ratio counts as this
LEAST_OTHERS = 2  # scans that are needed to show what is usual
WAYS = (
    ("in", "larger", "was a margin drawn with it, as around what is irradiated? Draw the lesion alone"),
    ("out", "smaller", "was its core drawn alone, as by a high threshold? Draw the whole lesion"),
)


def resized(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """Yield a sentence on the scans whose masks are drawn larger, or smaller, than their lesion, where others are not.

    known: scans with a modality, or with a mask (MASK), about which something more likely is reported.
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
    """Return the scans whose masks have their border further in, or out, where this clearly separates them from
    the rest."""
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
    # With few scans, little is known of how much correct ones differ.
    wider = float(stats.t.isf(CHANCE_PROBABILITY, free)) * (1 + 1 / len(others)) ** 0.5
    most = max(max(others) * APART_TIMES, fmean(others) + wider * variance**0.5)
    return [scan for scan, _ in found] if min(theirs) >= most else []


def _times(fall: float, own: float) -> float:
    """Return how many times as far values fall there, at most MOST_TIMES."""
    return min(fall / own, MOST_TIMES) if own > 0 else MOST_TIMES
