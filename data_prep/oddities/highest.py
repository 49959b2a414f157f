"""Finds values far above all others of their volume or of the other scans: defects by which a whole study
is normalised.

Images are divided by the highest value of the training slices, so one such voxel leaves nothing of the contrast.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.oddities.oddity import LEAST_SCANS, MAJORITY_SHARE, Odd, of_some
from data_prep.oddities.scales import brightness, height
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

# Times as high as all other scans, in raw values and relative to the tissue's brightness. If the public cohort's 34
# scans are sorted by their highest value, none has 1.4 times that of the one before.
ABOVE_SCANS_TIMES = 3.0


def peaks_in_words(scan: Scan, modality: str) -> str:
    """Return a sentence on a few voxels that stand far above all others of their volume; "" where there are none.

    It is "" too where only the values of a scan are kept.
    """
    numbers = scan.placement.get("numbers")
    if numbers is None or not numbers[modality]["peaks"]:
        return ""
    high, voxels = scan.placement["values"][modality]["high"], count_of(numbers[modality]["peaks"], "voxel")
    return (
        f"holds up to {high:.4g} in {voxels}{_place(scan, modality)}, {numbers[modality]['peak_times']:.3g} times as "
        "high as all others, as a defect or damage leaves it; images are normalized by the highest value of the "
        "training scans: set it to what lies around it"
    )


def odd_highest(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on the scans whose highest value lies far above those of all others.

    Scans with a few voxels far above all others of their volume are left out, since these are reported by themselves.
    """
    chosen = above_others(scans, modality)
    rest = max((height(scan, modality) for scan in scans if scan not in chosen), default=0.0)
    chosen = [scan for scan in chosen if not peaks_in_words(scan, modality)]
    if chosen:
        high = max(scan.placement["values"][modality]["high"] for scan in chosen)
        times = min(height(scan, modality) for scan in chosen) / rest
        where = _place(chosen[0], modality) if len(chosen) == 1 else ""
        text = (
            f"{modality} reaches {high:.4g}{where}, {times:.3g} times as high as all other scans: is that the lesion, "
            "or are some voxels defects? Images are normalized by the highest value of the training scans"
        )
        yield from of_some(scans, chosen, text, files=(modality,))


def above_others(scans: Sequence[Scan], modality: str) -> list[Scan]:
    """Return the scans, fewer than most, whose highest values lie far above those of all others; of few scans none."""
    shown = [scan for scan in scans if brightness(scan, modality) > 0]
    if len(shown) < LEAST_SCANS:
        return []
    heights = np.array([height(scan, modality) for scan in shown])
    beside = heights / np.array([brightness(scan, modality) for scan in shown])
    order = np.argsort(-heights, kind="stable")
    for count in range(int((1 - MAJORITY_SHARE) * len(shown)), 0, -1):
        first, others = order[:count], order[count:]
        if all(each[first].min() >= ABOVE_SCANS_TIMES * each[others].max() for each in (heights, beside)):
            return [shown[at] for at in sorted(first)]
    return []


def _place(scan: Scan, modality: str) -> str:
    """Return where the highest value lies, in words; "" where only the values of a scan are kept."""
    numbers = scan.placement.get("numbers")
    if numbers is None:
        return ""
    return f" (at {tuple(numbers[modality]['highest_at'])} of the file, from 0 on)"
