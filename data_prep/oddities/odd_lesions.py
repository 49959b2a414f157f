"""Judges lesions and their masks: how much of the body they take, whether they lie in air, shape, size, holes
and pieces.

A mask may be an outline that nobody filled, hold the surroundings of a lesion, its own mirror image, or strokes of a
brush; coarser voxels may lose a lesion.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from math import exp, log
from statistics import median
from typing import Any

from data_prep.oddities.oddity import (
    LEAST_SCANS,
    MAJORITY_SHARE,
    MASK,
    Odd,
    grouped,
    has_majority,
    limit,
    of_some,
    times,
)
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

MAX_LESION_SHARE = 0.25  # of the grid, or of the body: no lesion is larger
IN_AIR_SHARE, MOSTLY_IN_AIR_SHARE = 0.1, 0.5  # of the lesion that lies in air: reported, and refused
ODD_SIZE_TIMES = 3.0  # times larger or smaller than the median of the other scans' lesions
# Times larger than all others: several masks of a part of the body instead of the lesion hide one another, since they
# raise what lesions differ by. Of 1,000 random choices each of 5, 6, 7, 8, 10, 12, 16 and 24 lesions of the public
# cohort 49, 10, 8, 6 and then none hold two or more that stand apart like this.
LARGER_GROUP_TIMES = 4.0
# Share of what a mask encloses that is not lesion; lesions of the real cohort, and of the phantom, have none of it.
OUTLINE_SHARE = 0.5  # a larger share makes the mask an outline
# A larger share makes it hollow. The box or ellipsoid around a lesion of the phantom, without the lesion, has 0.08 to
# 0.22; a hole of a few voxels, which a threshold leaves in a filled lesion, is less.
HOLLOW_SHARE = 0.05
# In mm, of a part at most 4 mm or one voxel wide; lesions of the real cohort have 25 at most, 152 made-up ones 32.
LINE_MM = 35.0
# In mm, of a part that sticks out of one slice; lesions of the real cohort have none, 152 made-up ones 11 at most.
STROKE_MM = 12.0
USUAL_SHARE = 0.25  # of the scans with lesion: if so many have small pieces, that is how their lesions are
# What a mask may hold within one slice, in words.
IN_ONE_SLICE: tuple[tuple[str, Callable[[dict[str, Any]], bool]], ...] = (
    (
        "the mask holds small pieces in a single slice, apart from the lesion: strokes that were left there?",
        lambda pieces: bool(pieces["stray"] > 0),
    ),
    (
        f"the mask sticks out in a single slice, by a part {STROKE_MM:g} mm long or more far beside what the slices "
        "above and below it hold: a stroke of a brush?",
        lambda pieces: bool(pieces["over_mm"] >= STROKE_MM),
    ),
)


def odd_lesions(scans: Sequence[Scan]) -> Iterator[Odd]:
    """Yield what is odd about each scan's lesion, by itself and compared with the other scans with lesion."""
    with_lesion = [scan for scan in scans if scan.has_lesion]
    yield from _empty(scans)
    for scan in scans:
        yield from _share(scan)
    for scan in with_lesion:
        yield from _shape(scan)
    if len(with_lesion) < LEAST_SCANS:
        return
    yield from _sizes(with_lesion)
    yield from _boxes(with_lesion)


def _empty(scans: Sequence[Scan]) -> Iterator[Odd]:
    without_lesion = [scan for scan in scans if not scan.has_lesion]
    empty = [scan for scan in without_lesion if scan.placement["lesion"]["drawn_on"]]
    if len(empty) < len(without_lesion) / 2:
        for scan in empty:
            yield Odd(
                scan.scan_id,
                "the mask is empty; most scans without lesion have no mask: was it lost?",
                files=(MASK,),
            )


def holds_too_much(scan: Scan) -> bool:
    """Return whether a mask holds more than a lesion can, as an inverted one does.

    What lies outside of it, by which scans are compared, is then not the tissue.
    """
    return any(share > MAX_LESION_SHARE for share in _shares(scan).values())


def _shares(scan: Scan) -> dict[str, float]:
    """Return the shares of the grid and of the body that are lesion, by their names."""
    lesion = scan.placement["lesion"]
    whole = lesion.get("share_of_whole", lesion["share_of_body"])
    return {"grid": lesion["share_of_grid"], "body": whole}


def _share(scan: Scan) -> Iterator[Odd]:
    lesion, shares = scan.placement["lesion"], _shares(scan)
    for part, share in shares.items():
        if share > MAX_LESION_SHARE:
            told = f"{share:.0%} of the {part} is lesion ({lesion['ml']:.4g} ml)"
            yield Odd(scan.scan_id, f"{told}: is the mask inverted?", files=(MASK,), refused=True)
            return
    if lesion["share_of_body"] > MAX_LESION_SHARE:
        yield Odd(
            scan.scan_id,
            f"{lesion['share_of_body']:.0%} of the body in the stored slices is lesion, of that in the whole field of "
            f"view {shares['body']:.0%}: the slices show little else; with a larger --size they show more",
            files=(MASK,),
        )
    if lesion["share_in_air"] > IN_AIR_SHARE:
        yield Odd(
            scan.scan_id,
            f"{lesion['share_in_air']:.0%} of the lesion lies in air, outside of the body: does the mask belong here?",
            files=(MASK,),
            refused=lesion["share_in_air"] > MOSTLY_IN_AIR_SHARE,
        )


def _shape(scan: Scan) -> Iterator[Odd]:
    spanned, left_out = (scan.placement["lesion"][name] for name in ("spanned", "left_out"))
    if spanned:
        yield Odd(
            scan.scan_id,
            f"the lesion reaches from border to border of the plane in {spanned} of {count_of(scan.slices, 'slice')}",
            files=(MASK,),
        )
    if left_out:
        yield Odd(
            scan.scan_id,
            f"the mask leaves out {count_of(left_out, 'slice')} between slices with lesion at the same place:"
            " were they drawn?",
            files=(MASK,),
        )


def _sizes(with_lesion: Sequence[Scan]) -> Iterator[Odd]:
    # Sizes are kept in steps of 0.1 mm3, so less than half of that is kept as 0.
    measured = [scan for scan in with_lesion if scan.placement["lesion"]["ml"] > 0]
    if len(measured) < LEAST_SCANS:
        return
    usual = median(scan.placement["lesion"]["ml"] for scan in measured)
    logs = [log(scan.placement["lesion"]["ml"] / usual) for scan in measured]
    most = limit(logs, log(ODD_SIZE_TIMES))
    together = _larger_group(logs)
    for at, (scan, each) in enumerate(zip(measured, logs, strict=True)):
        if abs(each) > most or at in together:
            of = f", one of {count_of(len(together), 'lesion')} of such a size" if at in together else ""
            yield Odd(
                scan.scan_id,
                f"the lesion is {times(exp(each))} the median lesion ({scan.placement['lesion']['ml']:.4g} ml, "
                f"{usual:.4g} ml){of}",
                files=(MASK,),
            )


def _larger_group(logs: Sequence[float]) -> list[int]:
    """Return the positions of two or more sizes, given by logarithms, that lie above all others beyond a gap.

    It is empty where there are none, or where it is not clear which of them is usual.
    """
    *smaller, largest = grouped(logs, log(LARGER_GROUP_TIMES))
    parted = bool(smaller) and len(largest) > 1 and has_majority([*smaller, largest])
    return largest if parted and len(largest) < MAJORITY_SHARE * len(logs) else []


def _boxes(with_lesion: Sequence[Scan]) -> Iterator[Odd]:
    boxes = [scan for scan in with_lesion if scan.placement["lesion"]["box"]]
    if len(boxes) < len(with_lesion) / 2:
        for scan in boxes:
            yield Odd(
                scan.scan_id,
                "the lesion is a box with straight edges, which it is in few others",
                files=(MASK,),
                shown=((scan.scan_id, MASK),),
            )


CHANGED_TIMES = 4 / 3  # times more or less than was drawn; lesions of 5 ml and more change by a tenth at most


def odd_drawn_lesions(scans: Sequence[Scan]) -> Iterator[Odd]:
    """Yield sentences on the scans whose masks are outlines, on hollow masks, and on lesions stored much larger
    or smaller.

    The last leaves out outlines, which are thin, so that finer pixels do not fill them.
    """
    outlined = [scan for scan in scans if _outlined(scan)]
    yield from of_some(
        scans,
        outlined,
        f"most of what the mask encloses ({OUTLINE_SHARE:.0%} or more) is not lesion: was an outline drawn and never "
        "filled, or is the mask inverted within a box around the lesion?",
        files=(MASK,),
        shown_in=MASK,
    )
    yield from of_some(
        scans,
        [scan for scan in scans if HOLLOW_SHARE <= scan.placement["lesion"]["hollow"] < OUTLINE_SHARE],
        f"the mask is hollow: {HOLLOW_SHARE:.0%} or more of what it encloses is not lesion; was the lesion's middle "
        "left out on purpose, as where it is necrotic, or is the mask inverted within a box around the lesion?",
        files=(MASK,),
    )
    for scan in (each for each in scans if not _outlined(each)):
        drawn, stored = (scan.placement["lesion"][name] for name in ("drawn_ml", "stored_ml"))
        if not drawn / CHANGED_TIMES <= stored <= drawn * CHANGED_TIMES:
            yield Odd(
                scan.scan_id,
                f"of the lesion {drawn:.2g} ml were drawn and {stored:.2g} ml are stored, since pixels count as lesion "
                "from half of them on: if the lesion is so thin, store more and finer ones (a larger --size, with it a "
                "smaller --pixel-mm), or on a finer modality's grid (--reference)",
                files=(MASK,),
            )


def odd_pieces(scans: Sequence[Scan], known: Container[tuple[str, str]] = ()) -> Iterator[Odd]:
    """Yield sentences on masks that hold their own mirror image, and on those with pieces that look like strokes of
    a brush.

    Strokes are thin lines, and small pieces and parts in one slice where few scans have any. They are not searched for
    in a mask that is `known` to be something else than the lesion where it lies (MASK), since the border of a body has
    them, too.
    """
    with_lesion = [scan for scan in scans if scan.has_lesion]

    def chosen(holds: Callable[[dict[str, Any]], bool]) -> list[Scan]:
        return [scan for scan in with_lesion if holds(scan.placement["lesion"]["pieces"])]

    text = "one piece of the mask is the mirror image of another, voxel by voxel: was the mask joined with its own?"
    yield from of_some(scans, chosen(lambda pieces: pieces["mirrored"]), text, files=(MASK,))
    with_lesion = [scan for scan in with_lesion if (scan.scan_id, MASK) not in known]
    lines = [scan for scan in chosen(lambda pieces: pieces["thin_mm"] >= LINE_MM) if not _outlined(scan)]
    text = f"the mask holds a line of a few voxels that is {LINE_MM:g} mm long or more: a stroke of a brush?"
    yield from of_some(scans, lines, text, files=(MASK,))
    for text, holds in IN_ONE_SLICE:
        found = chosen(holds)
        if len(found) <= max(1, USUAL_SHARE * len(with_lesion)):
            yield from of_some(scans, found, text, files=(MASK,))


def _outlined(scan: Scan) -> bool:
    return bool(scan.placement["lesion"]["hollow"] >= OUTLINE_SHARE)
