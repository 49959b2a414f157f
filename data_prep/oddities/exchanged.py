"""Finds masks of two scans that were exchanged: each has a clearer border on the other's images than on its own.

It looks at scans whose masks are reported to have no border (data_prep.oddities.off_border), and at those with the
weakest borders, since lesions of two patients may lie at nearly the same place. Images must be read for it.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd
from data_prep.oddities.off_border import CLEARLY_SEEN_SHARE, SHOWN_FALL, sign_of
from data_prep.placing.edges import edges_of
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.store_format import Scan

# Times the fall across the border of a scan's own mask: that across the other's must be so large.
BETTER_TIMES = 1.5
MOST_SCANS_ASKED = 20  # scans with reported masks: if there are more, something else is wrong
# scans with the weakest borders on a modality that are looked at even if they are not reported
WEAKEST_SCANS = 10

# Reads the images (Z, C, H, W) and the mask (Z, H, W) of the scan at a position.
ReadBoth = Callable[[int], tuple[Images, Bools]]


# The fall across a mask's border on a scan's images, by the positions of both.
_Falls = dict[tuple[int, int], float]


def exchanged(
    scans: Sequence[Scan], modalities: Sequence[str], told: Sequence[Odd], read: ReadBoth
) -> Iterator[Odd]:
    """Yield a sentence on both scans of each pair whose masks fit when they are exchanged. told: what is odd
    about masks."""
    ids = {scan_id for odd in told for scan_id, what in odd.shown if what == MASK}
    with_lesion = [at for at, scan in enumerate(scans) if scan.has_lesion]
    told_of = [at for at in with_lesion if scans[at].scan_id in ids]
    if len(told_of) > MOST_SCANS_ASKED or len(with_lesion) < LEAST_SCANS:
        return
    asked = sorted({*told_of, *_weakest(scans, modalities, with_lesion)})
    across = _across(scans, modalities, asked, with_lesion, read)
    for modality, falls in zip(modalities, across, strict=True):
        falls |= {(at, at): _own(scans[at], modality) for at in with_lesion}
        signed = _bright_inside(falls, scans, modality)
        usual = abs(median(signed[at, at] for at in with_lesion))
        for one in asked:
            fitting = [other for other in with_lesion if other != one and _fit(signed, one, other, usual)]
            other = max(fitting, key=lambda each: min(signed[one, each], signed[each, one]), default=None)
            if other is None or (other in asked and other < one):
                continue
            for whose, beside in ((one, other), (other, one)):
                yield Odd(
                    scans[whose].scan_id,
                    f"its mask and that of scan {scans[beside].scan_id} may be exchanged: on {modality} the lesion "
                    "stands out where the other's mask lies, in both",
                    files=(MASK,),
                )


def _weakest(scans: Sequence[Scan], modalities: Sequence[str], with_lesion: Sequence[int]) -> Iterator[int]:
    """Yield the scans with the weakest borders on each modality on which the cohort's lesions have a border."""
    for modality in modalities:
        falls = _bright_inside({(at, at): _own(scans[at], modality) for at in with_lesion}, scans, modality)
        if median(falls.values()) >= SHOWN_FALL:
            yield from (at for at, _ in sorted(falls, key=lambda both: falls[both])[:WEAKEST_SCANS])


def _across(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    asked: Sequence[int],
    with_lesion: Sequence[int],
    read: ReadBoth,
) -> list[_Falls]:
    """Return, by modality, how far values fall across each asked mask's border on the images of other scans
    with lesion.

    It also holds the falls of the other scans' masks on the asked scan's images. A fall is 0 where the two scans
    have not the same number of slices. Each scan that is compared is read once; those asked, and one more, are held
    in memory.
    """
    pairs = [(one, other) for one in asked for other in with_lesion if one != other]
    falls: list[_Falls] = [dict.fromkeys([*pairs, *(pair[::-1] for pair in pairs)], 0.0) for _ in modalities]
    held: dict[int, tuple[Images, Bools]] = {}
    for other in with_lesion:
        # Of two scans that are asked, only the later is compared with the earlier.
        before = [one for one in asked if one < other or other not in asked]
        compared = [one for one in before if one != other and scans[one].slices == scans[other].slices]
        if not compared:
            continue
        held |= {one: read(one) for one in compared if one not in held}
        theirs = held[other] if other in held else read(other)
        if other in asked:
            held[other] = theirs
        for one in compared:
            own = held[one]
            for at, (modality, found) in enumerate(zip(modalities, falls, strict=True)):
                found[one, other] = _fall(own[1], theirs[0][:, at], scans[other], modality)
                found[other, one] = _fall(theirs[1], own[0][:, at], scans[one], modality)
    return falls


def _fall(mask: Bools, image: Images, scan: Scan, modality: str) -> float:
    """Return the fall across the border of another scan's mask on the image of a scan.

    mask, image: (Z, H, W), the image in raw values.
    """
    facts = scan.placement["values"][modality]
    if facts["tissue"] is None:
        return 0.0
    bright = facts["tissue"]["last"] - facts["first"]
    edges = edges_of(image, mask, scan.spacing_mm, facts["first"], bright, own_alone=True)
    return 0.0 if edges is None else float(edges["own"])


def _own(scan: Scan, modality: str) -> float:
    """Return the fall across the border of the scan's own mask."""
    edges = scan.placement["lesion"]["edges"][modality]
    return 0.0 if edges is None else float(edges["own"])


def _bright_inside(falls: _Falls, scans: Sequence[Scan], modality: str) -> _Falls:
    """Return the falls, with signs turned where lesions of the cohort are darker than what surrounds them."""
    sign = sign_of(scans, modality)
    return {pair: sign * fall for pair, fall in falls.items()}


def _fit(falls: _Falls, one: int, other: int, usual: float) -> bool:
    """Return whether both masks have a clear border on the other's images, and a clearer one than where they lie."""
    there = falls[other, one], falls[one, other]
    clear = min(there) >= max(SHOWN_FALL, CLEARLY_SEEN_SHARE * usual)
    return (
        clear and there[0] > BETTER_TIMES * falls[one, one] and there[1] > BETTER_TIMES * falls[other, other]
    )
