"""Masks that hold less or more than a lesion: outlines that nobody filled, what lies around a lesion in its place,
lesions that coarser voxels lose, mirror images, strokes of a brush."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_prep.oddities.oddity import MASK, Odd, of_some
from hnscc.cohort.store_format import Scan

# Of what a mask encloses, the share that is no lesion; lesions of the real cohort, and of the phantom, have none of it.
OUTLINE_SHARE = 0.5  # from which the mask is an outline
# From which it is hollow. The box or the ellipsoid around a lesion of the phantom, less the lesion, has 0.08 to 0.22; a
# hole of a few voxels, as a threshold leaves in a lesion that is filled, is less.
HOLLOW_SHARE = 0.05
LINE_MM = 30.0  # mm, of a part up to 4 mm or two voxels wide; lesions of the real cohort have 25 at most
# In mm, of a part that sticks out of one slice; lesions of the real cohort have none, the phantom's 6 at most.
STROKE_MM = 10.0
USUAL_SHARE = 0.25  # of the scans with lesion, from which small pieces are how the lesions are
CHANGED_TIMES = 4 / 3  # times more or less than was drawn; lesions of 5 ml and more change by a tenth at most

# What a mask may hold in one slice alone, in words.
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


def odd_drawn_lesions(scans: Sequence[Scan]) -> Iterator[Odd]:
    """A sentence on the scans whose masks are outlines, on those whose masks are hollow, and on each whose lesion is
    stored much larger or smaller."""
    outlined = [scan for scan in scans if _outlined(scan)]
    yield from of_some(
        scans,
        outlined,
        f"most of what the mask encloses ({OUTLINE_SHARE:.0%} or more) is not lesion: was an outline drawn and never "
        "filled, or is the mask inverted within a box around the lesion?",
        files=(MASK,),
    )
    yield from of_some(
        scans,
        [scan for scan in scans if HOLLOW_SHARE <= scan.placement["lesion"]["hollow"] < OUTLINE_SHARE],
        f"the mask is hollow: {HOLLOW_SHARE:.0%} or more of what it encloses is not lesion; was the lesion's middle "
        "left out on purpose, as where it is necrotic, or is the mask inverted within a box around the lesion?",
        files=(MASK,),
    )
    for scan in scans:
        drawn, stored = (scan.placement["lesion"][name] for name in ("drawn_ml", "stored_ml"))
        if not drawn / CHANGED_TIMES <= stored <= drawn * CHANGED_TIMES:
            yield Odd(
                scan.scan_id,
                f"of the lesion {drawn:.2g} ml were drawn and {stored:.2g} ml are stored, since pixels count as lesion "
                "from half of them on: if the lesion is so thin, store more and finer ones (a larger --size, with it a "
                "smaller --pixel-mm), or on a finer modality's grid (--reference)",
                files=(MASK,),
            )


def odd_pieces(scans: Sequence[Scan]) -> Iterator[Odd]:
    """A sentence on the scans whose masks hold their own mirror image, and on those with pieces that look like strokes
    of a brush: thin lines, and small pieces and parts in one slice where few scans have any."""
    ill = [scan for scan in scans if scan.has_lesion]

    def chosen(holds: Callable[[dict[str, Any]], bool]) -> list[Scan]:
        return [scan for scan in ill if holds(scan.placement["lesion"]["pieces"])]

    text = "one piece of the mask is the mirror image of another, voxel by voxel: was the mask joined with its own?"
    yield from of_some(scans, chosen(lambda pieces: pieces["mirrored"]), text, files=(MASK,))
    lines = [scan for scan in chosen(lambda pieces: pieces["thin_mm"] >= LINE_MM) if not _outlined(scan)]
    text = f"the mask holds a line of a few voxels that is {LINE_MM:g} mm long or more: a stroke of a brush?"
    yield from of_some(scans, lines, text, files=(MASK,))
    for text, holds in IN_ONE_SLICE:
        found = chosen(holds)
        yield from (
            of_some(scans, found, text, files=(MASK,)) if len(found) <= max(1, USUAL_SHARE * len(ill)) else ()
        )


def _outlined(scan: Scan) -> bool:
    return bool(scan.placement["lesion"]["hollow"] >= OUTLINE_SHARE)
