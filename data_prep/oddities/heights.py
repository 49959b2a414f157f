"""Finds a modality that shows the body higher or lower than the other one of its scan, compared with the other scans.

Nothing is known of how an organ looks on both. But slices of one modality that look alike in two scans lie at one
height of the body, and so do the slices of the other modality there. So for each slice in one modality, the most
similar slices of other scans are taken, and what those scans show there in the other modality is searched for in the
scan's own slices. Slices that one of them does not show are left out.
"""

from collections.abc import Container, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.oddity import Odd, cut_short, limit, robust_sd
from data_prep.oddities.twins import seen_patterns
from data_prep.placing.edges import peak_of
from hnscc.base.arrays import Floats
from hnscc.cohort.store_format import Scan

LEAST_SCANS = 8  # with fewer, nothing is said, since similar slices come from the other scans
COMPARED_SCANS = 40  # scans, evenly spread, that each is compared with, since more take time and tell no more
LIKE_SLICES = 15  # slices of others that are most similar
REACH_MM = 28.0  # mm, up to which shifts are tried
# mm; robust standard deviations: with 3.5, one head in four made-up cohorts of 16 to 60 patients was reported, by 9 mm.
OFF_MM, OFF_SDS = 6.0, 5.0
# The largest robust standard deviation in mm of a cohort: heads have 2; unlike bodies, such as limbs, 13.
SURE_SD_MM = 3.0
# Of the scans: if more deviate, the others agree by chance. For 12 limbs, whose heights are known to 13 mm, the median
# deviation was once 1.6 mm, and four were reported, three of which were untouched.
MOST_DEVIATING = 1 / 3
LEAST_COMMON_SLICES = 4  # slices that must lie within both
# Of what a modality lacks at one end: it must be moved by so much if that is the reason. Of 20 made-up heads of 24
# slices, each moved by 3, 4 or 5 slices to either end, 116 of 120 are found with this condition, and 117 without.
LACKED_SHARE = 2 / 3


def too_high(
    scans: Sequence[Scan],
    patients: Sequence[str],
    modalities: Sequence[str],
    patterns: Sequence[NDArray[np.float32]],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """Yield a sentence on each modality of a scan that shows the body elsewhere along the slices than the
    grid's modality.

    patients: of each scan; scans of one patient are not compared. patterns: (C, Z, 16, 16) of each scan, from foot to
    head, each slice of length 1 (data_prep.oddities.twins.reduced). known: scans with a modality that look otherwise
    for a reported reason.
    """
    if len(scans) < LEAST_SCANS:
        return
    reference = scans[0].placement["reference"]
    reference_at = list(modalities).index(reference)
    for modality_at, modality in enumerate(modalities):
        if modality_at == reference_at:
            continue
        shown, of_grid = (
            [
                seen_patterns(scan, modalities[at], each[at])
                for scan, each in zip(scans, patterns, strict=True)
            ]
            for at in (modality_at, reference_at)
        )
        heights_mm = np.array(
            [_heights(number, scan, patients, shown, of_grid) for number, scan in enumerate(scans)]
        )
        for scan, deviation_mm in _deviating(scans, heights_mm):
            if _judged(scan, modality, reference, deviation_mm) and not any(
                (scan.scan_id, name) in known for name in (modality, reference)
            ):
                yield _told_as_higher(scan, modality, reference, deviation_mm)


def _judged(scan: Scan, modality: str, reference: str, deviation_mm: float) -> bool:
    """Return whether a scan shows enough to believe that its modality lies so many mm higher.

    What is left of a modality that is cut short may look like others by chance. It is believed only if the modality
    lacks, at the end that it was moved away from, the slices that it then must lack.
    """
    if cut_short(scan, reference):
        return False
    if not cut_short(scan, modality):
        return True
    unseen = sorted(scan.unseen([modality]))
    first = 0 if deviation_mm > 0 else scan.slices - len(unseen)
    at_one_end = unseen == list(range(first, first + len(unseen)))
    return at_one_end and abs(deviation_mm) >= LACKED_SHARE * len(unseen) * scan.spacing_mm[0]


def _deviating(scans: Sequence[Scan], heights_mm: Floats) -> Iterator[tuple[Scan, float]]:
    """Yield the scans whose heights deviate from the others' by both measures in one direction, with the smaller
    deviation in mm.

    heights_mm: (scans, 2), as by `_heights`. None is yielded where the heights of the cohort are not known well enough.
    """
    known = np.isfinite(heights_mm).all(axis=1)
    if known.sum() < LEAST_SCANS:
        return
    deviations_mm = heights_mm - np.median(heights_mm[known], axis=0)
    sure = deviations_mm[known].mean(axis=1)
    if robust_sd(sure) > SURE_SD_MM:
        return
    most = limit(sure, OFF_MM, OFF_SDS)
    if np.mean(np.abs(sure) > most) > MOST_DEVIATING:
        return
    agree = np.ptp(np.sign(deviations_mm), axis=1) == 0
    smaller = np.where(agree, np.sign(deviations_mm[:, 0]) * np.abs(deviations_mm).min(axis=1), 0.0)
    yield from ((scan, float(each)) for scan, each in zip(scans, smaller, strict=True) if abs(each) > most)


def _told_as_higher(scan: Scan, modality: str, reference: str, deviation_mm: float) -> Odd:
    end = "head" if deviation_mm > 0 else "feet"
    return Odd(
        scan.scan_id,
        f"{modality} shows the body about {abs(deviation_mm):.0f} mm nearer to the {end} than {reference} does, "
        "against the other scans: does its header place it rightly?",
        files=(modality,),
        shown=((scan.scan_id, modality),),
    )


def _heights(
    number: int,
    scan: Scan,
    patients: Sequence[str],
    one: Sequence[NDArray[np.float32]],
    two: Sequence[NDArray[np.float32]],
) -> tuple[float, float]:
    """Return by how many mm a scan shows the body nearer to the head in modality `one` than in `two`, measured
    both ways.

    The first goes by slices of others that are similar in `two`, the second by those similar in `one`, since one alone
    may be wrong by chance; NaN if unknown. number: the scan's position. one, two: (Z, pixels) of every scan, its slices
    in the modality, each of length 1.
    """
    others = [at for at, patient in enumerate(patients) if patient != patients[number]]
    others = others[:: max(1, len(others) // COMPARED_SCANS)]
    if not others:
        return float("nan"), float("nan")
    of_one, of_two = (np.concatenate([each[at] for at in others]) for each in (one, two))
    both = of_one.any(axis=1) & of_two.any(axis=1)
    if not both.any():
        return float("nan"), float("nan")
    of_one, of_two = of_one[both], of_two[both]
    step = scan.spacing_mm[0]
    return (
        _moved(two[number], one[number], of_two, of_one, step),
        -_moved(one[number], two[number], of_one, of_two, step),
    )


def _moved(
    known: NDArray[np.float32],
    sought: NDArray[np.float32],
    of_known: NDArray[np.float32],
    of_sought: NDArray[np.float32],
    step: float,
) -> float:
    """Return how many mm further to the head the slices `sought` must be taken to match best what other scans show at
    slices similar to `known`.

    known, sought: (Z, 256), each of length 1. of_known, of_sought: (N, 256), slices of other scans in both modalities.
    """
    alike = known @ of_known.T
    count = min(LIKE_SLICES, alike.shape[1])
    likes = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    agree = (sought @ of_sought.T).astype(np.float64)
    filled = np.asarray(known.any(axis=1)), np.asarray(sought.any(axis=1))
    depth, reach = len(known), round(REACH_MM / step)
    curve = np.full(2 * reach + 1, np.nan)
    for move in range(-reach, reach + 1):
        z = np.arange(max(0, -move), min(depth, depth - move))
        z = z[filled[0][z] & filled[1][z + move]]
        if len(z) >= max(LEAST_COMMON_SLICES, depth // 2):
            curve[move + reach] = agree[(z + move)[:, None], likes[z]].mean()
    return (peak_of(curve) - reach) * step if np.isfinite(curve).any() else float("nan")
