"""Masks that hold less than what was drawn: outlines that nobody filled, and lesions that coarser voxels lose."""

from collections.abc import Iterator, Sequence

from data_prep.oddities.oddity import Odd, of_some
from hnscc.cohort.store_format import Scan

HOLLOW = 0.5  # of what a mask encloses, from which it is an outline; lesions of the real cohort have none
CHANGED = 4 / 3  # times more or less than was drawn; lesions of 5 ml and more change by a tenth at most


def odd_drawings(scans: Sequence[Scan]) -> Iterator[Odd]:
    """A sentence on the scans whose masks are outlines, and on each whose lesion is stored much larger or smaller."""
    if not all("hollow" in scan.placement["lesion"] for scan in scans):
        return
    outlined = [scan for scan in scans if scan.placement["lesion"]["hollow"] >= HOLLOW]
    yield from of_some(
        scans,
        outlined,
        f"most of what the mask encloses ({HOLLOW:.0%} or more) is not lesion: was an outline drawn and never filled?",
    )
    for scan in scans:
        drawn, stored = (scan.placement["lesion"][name] for name in ("drawn_ml", "stored_ml"))
        if not drawn / CHANGED <= stored <= drawn * CHANGED:
            yield Odd(
                scan.scan_id,
                f"of the lesion {drawn:.2g} ml were drawn and {stored:.2g} ml are stored, since pixels count as lesion "
                "from half of them on: store finer ones (--reference, --size, --pixel-mm) if the lesion is so thin",
            )
