"""Masks of two scans that were exchanged: one has no border where it lies, and each has one on the other's images.

Asked of scans alone whose mask is told to have no border (data_prep.oddities.off_border), since images must be read.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from data_prep.oddities.oddity import Odd
from data_prep.oddities.off_border import CLEARLY_SEEN_SHARE, MASK, SHOWN_FALL
from data_prep.placing.edges import edges_of
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.store_format import Scan

BETTER_TIMES = 1.5  # times the fall across the border of a scan's own mask, that across the other's has
MOST_SCANS_ASKED = 20  # scans whose masks are told: of more, it is another fault

# The images (Z, C, H, W) and the mask (Z, H, W) of a scan by its position.
Read = Callable[[int], tuple[Images, Bools]]


def exchanged(
    scans: Sequence[Scan], modalities: Sequence[str], told: Sequence[Odd], read: Read
) -> Iterator[Odd]:
    """A sentence on both scans of each pair whose masks fit when they are exchanged. told: what is odd about masks."""
    ids = {scan_id for odd in told for scan_id, what in odd.shown if what == MASK}
    ill = [at for at, scan in enumerate(scans) if scan.has_lesion]
    asked = [at for at in ill if scans[at].scan_id in ids]
    if len(asked) > MOST_SCANS_ASKED:
        return
    known = {at: read(at) for at in (ill if asked else ())}
    for at, modality in enumerate(modalities):
        falls = _Falls(scans, known, at, modality)
        usual = abs(median(map(falls.own, ill))) if asked else 0.0
        for one in asked:
            fitting = [other for other in ill if other != one and falls.fit(one, other, usual)]
            other = max(fitting, key=lambda each: falls.least(one, each), default=None)
            if other is None or (other in asked and other < one):
                continue
            for whose, beside in ((one, other), (other, one)):
                yield Odd(
                    scans[whose].scan_id,
                    f"its mask and that of scan {scans[beside].scan_id} may be exchanged: on {modality} the lesion "
                    "stands out where the other's mask lies, in both",
                )


class _Falls:
    """How far values of a modality fall across the border of one scan's mask on the images of another."""

    def __init__(
        self,
        scans: Sequence[Scan],
        known: dict[int, tuple[Images, Bools]],
        at: int,
        modality: str,
    ) -> None:
        self.scans, self.known, self.at, self.modality = scans, known, at, modality
        edges = [scan.placement["lesion"]["edges"][modality] for scan in scans]
        falls = [each["own"] for each in edges if each is not None]
        self.sign = -1 if falls and median(falls) < 0 else 1

    def own(self, scan: int) -> float:
        edges = self.scans[scan].placement["lesion"]["edges"][self.modality]
        return 0.0 if edges is None else self.sign * float(edges["own"])

    def across(self, mask: int, images: int) -> float:
        """The same of a mask on another scan's images; 0 where the two have not as many slices."""
        (seen, _), (_, drawn) = self.known[images], self.known[mask]
        facts = self.scans[images].placement["values"][self.modality]
        if len(seen) != len(drawn) or facts["tissue"] is None:
            return 0.0
        bright = facts["tissue"]["last"] - facts["first"]
        edges = edges_of(
            seen[:, self.at], drawn, self.scans[images].spacing_mm, facts["first"], bright, own_alone=True
        )
        return 0.0 if edges is None else self.sign * float(edges["own"])

    def least(self, one: int, other: int) -> float:
        """The fall across the less clear of both borders, were the masks exchanged."""
        return min(self.across(one, other), self.across(other, one))

    def fit(self, one: int, other: int, usual: float) -> bool:
        """Whether both masks have a clear border on the other's images, and a clearer one than where they lie."""
        there = self.across(other, one), self.across(one, other)
        clear = min(there) >= max(SHOWN_FALL, CLEARLY_SEEN_SHARE * usual)
        return clear and there[0] > BETTER_TIMES * self.own(one) and there[1] > BETTER_TIMES * self.own(other)
