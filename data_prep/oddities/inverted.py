"""Scans whose dark and bright are exchanged against the others: air is bright in them.

Where a volume ends sideways there is mostly air, and most of a volume is air or dark tissue. How high both stand
between the 1st and the 99th percentile tells of inversion, whatever the unit.
"""

from collections.abc import Iterator, Sequence

from data_prep.oddities.oddity import LEAST_SCANS, Odd, has_majority, of_cohort, scans_in_words
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

DARK_HEIGHT, BRIGHT_HEIGHT = 0.4, 0.6  # of air (`air_height`); what lies between is neither


def inverted(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """What is odd about which scans are bright where there is air; of few scans nothing."""
    heights = {scan.scan_id: air_height(scan, modality) for scan in scans}
    dark = [name for name, height in heights.items() if height is not None and height <= DARK_HEIGHT]
    bright = [name for name, height in heights.items() if height is not None and height >= BRIGHT_HEIGHT]
    if len(scans) < LEAST_SCANS or not (dark and bright):
        return
    if has_majority([dark, bright]):
        fewer, more, how = (dark, bright, "dark") if len(dark) < len(bright) else (bright, dark, "bright")
        other = {"dark": "bright", "bright": "dark"}[how]
        for name in fewer:
            yield Odd(
                name,
                f"{modality} is {how} at its rim and in most voxels, {other} in "
                f"{count_of(len(more), 'other')}: is it inverted?",
                files=(modality,),
                shown=((name, modality),),
            )
    else:
        yield of_cohort(
            f"{modality} is dark at its rim and in most voxels in {scans_in_words(dark)}, bright there in "
            f"{scans_in_words(bright)}: are some inverted?",
        )


def air_height(scan: Scan, modality: str) -> float | None:
    """How high the rim and the median of a volume stand between its 1st and 99th percentile, on average: 0 to 1.

    None where the volume is of one value or has no rim.
    """
    facts = scan.placement["values"][modality]
    span, rim = facts["last"] - facts["first"], facts["rim"]
    if rim is None or span <= 0:
        return None
    heights = [min(1.0, max(0.0, (value - facts["first"]) / span)) for value in (rim, facts["median"])]
    return sum(heights) / 2
