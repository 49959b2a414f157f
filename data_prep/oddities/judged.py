"""Compares a cohort's scans: refuses what cannot be right, and reports what is odd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.manifest.ids import may_be_one
from data_prep.manifest.manifest import Row
from data_prep.manifest.visits import in_groups, may_be_visits
from data_prep.oddities.bodies import beside, unlike_bodies
from data_prep.oddities.copies import Kept, kept_of
from data_prep.oddities.exchanged import ReadBoth, exchanged
from data_prep.oddities.fades import beside_most, faded, fields_apart
from data_prep.oddities.far_off import far_off
from data_prep.oddities.fields import odd_fields, spellings
from data_prep.oddities.flat_ends import ended_flat, ends_of
from data_prep.oddities.heights import too_high
from data_prep.oddities.highest import above_others, peaks_in_words
from data_prep.oddities.marks import Marks, marks
from data_prep.oddities.midlines import midlines, odd_mirrored
from data_prep.oddities.nudged import moves_of, nudged
from data_prep.oddities.numbers import emptied, inverted, odd_numbers, rounded, scaled_by_themselves
from data_prep.oddities.odd import odd_borders, odd_scans, shows_lesion
from data_prep.oddities.odd_lesions import odd_drawn_lesions, odd_pieces
from data_prep.oddities.oddity import Odd, cut_short, of_cohort
from data_prep.oddities.one_sided import one_sided
from data_prep.oddities.orientation import lying_of, lying_otherwise
from data_prep.oddities.planes import odd_planes
from data_prep.oddities.resized import resized
from data_prep.oddities.shared import Compared, shared_images
from data_prep.oddities.slice_order import odd_order
from data_prep.oddities.taken import odd_codes
from data_prep.oddities.twins import means_of, reduced
from data_prep.oddities.whose import odd_whose
from data_prep.volumes.volume import Volume, Whose
from hnscc.base.arrays import Bools, Images
from hnscc.base.errors import InputError
from hnscc.base.in_words import first_of
from hnscc.cohort.placement import CohortPlacement, OddFact
from hnscc.cohort.store_building import read_written
from hnscc.cohort.store_format import Scan

MOST_SENTENCES_TOLD = 20  # sentences that one error holds at most

# Scans with modalities that look otherwise for a reported reason.
Known = set[tuple[str, str]]


@dataclass(frozen=True)
class Reduced:
    """What is kept of a scan's images to compare them.

    means: (C, Z, 16, 16), of parts of each slice, in raw values. patterns: of that shape, each slice of mean 0 and
    length 1 (oddities.twins). marks: of each modality, what stands out (oddities.marks). midlines: (C, Z, H), the
    column midway between both sides of the skin, in pixels, NaN where it does not show (oddities.midlines). moves: (C,
    3), in mm along z, y and x, how the mask must be moved to fit best, NaN where it has no border (oddities.nudged).
    ends: how far each modality goes on beyond the mask's flat ends, shares, (C, 6) by side (oddities.flat_ends). files:
    what finds copies of each modality's file (oddities.copies). whose: whose each DICOM file says it is, by modality or
    MASK (oddities.whose).
    """

    means: NDArray[np.float32]
    patterns: NDArray[np.float32]
    marks: Sequence[Marks]
    midlines: NDArray[np.float32]
    moves: NDArray[np.float32]
    ends: NDArray[np.float32]
    files: Sequence[Kept]
    whose: Mapping[str, Whose] = field(default_factory=dict, repr=False)


def reduce_images(images: Images, lesion: Bools, scan: Scan, volumes: Mapping[str, Volume]) -> Reduced:
    """Return what is kept of a scan's images.

    images: float32 (Z, C, H, W), the stored slices of a scan, in raw values. lesion: bool (Z, H, W), the mask on them.
    volumes: the scan's modalities as they were read.
    """
    means = means_of(images)
    return Reduced(
        means.astype(np.float32),
        reduced(means),
        marks(images),
        midlines(images),
        moves_of(images, lesion, scan),
        ends_of(images, lesion, scan),
        [kept_of(volume) for volume in volumes.values()],
    )


def judged(
    rows: Sequence[Row],
    scans: Sequence[Scan],
    images: Sequence[Reduced],
    unfinished: Path,
    accept_odd: str | None,
) -> list[Odd]:
    """Return what is odd about the scans of these rows; `images` are what `reduce_images` kept of them.

    InputError is raised where two patients share images, or where something needs a reason (oddities.odd) and
    accept_odd gives none.
    """
    modalities, read = list(rows[0].files), partial(_stored, unfinished, scans)
    shared = _shared(rows, images, read)
    order = list(odd_order(scans, modalities, [each.patterns for each in images]))
    dark = _known([odd for name in modalities for odd in inverted(scans, name)])
    drawn = _drawn(scans, modalities, images, _known([*shared, *order]) | dark)
    fields = list(odd_fields(scans, modalities))
    told = _known([*shared, *order, *drawn])
    looks, moved = _looks(rows, scans, images, told | dark, _known(fields))
    known = told | _known([*fields, *looks])
    looks += far_off(scans, modalities, known | _known(moved), read)
    known |= _known(looks)
    off = _nudged(scans, modalities, images, known | _known(moved))
    # A mask that is a slice off seems to end within the lesion on one side, but lacks no part.
    looks = [odd for odd in looks if not odd.shown or not set(odd.shown) <= _known(off)]
    odd = [
        *shared,
        *_ids_alike(rows),
        *odd_whose(rows, scans, [each.whose for each in images]),
        *looks,
        *exchanged(scans, modalities, looks, read),
        *off,
        *one_sided(scans, modalities),
        *fields,
        *spellings(scans),
        *drawn,
        *odd_pieces(scans, known),
        *_values(scans, modalities, dark, known),
        *moved,
        *unlike_bodies([scan for scan in scans if not cut_short(scan)], modalities, known, moved),
        *order,
    ]
    _check_odd(rows, odd, shared, accept_odd)
    return odd


def _stored(unfinished: Path, scans: Sequence[Scan], at: int) -> tuple[Images, Bools]:
    """Return the stored images (Z, C, H, W), in raw values, and the mask (Z, H, W) of the scan at a position."""
    name = scans[at].scan_id
    return read_written(unfinished, name, "images"), read_written(unfinished, name, "mask") == 1


def _shared(rows: Sequence[Row], images: Sequence[Reduced], read: ReadBoth) -> list[Odd]:
    """Return what is odd about images that several scans share.

    read: reads the stored images (Z, C, H, W), in raw values, and the mask (Z, H, W) of the scan at a position.
    """
    return shared_images(
        Compared(
            rows,
            [each.patterns for each in images],
            [each.marks for each in images],
            [each.files for each in images],
            lambda at: read(at)[0],
        )
    )


def _nudged(
    scans: Sequence[Scan], modalities: Sequence[str], images: Sequence[Reduced], known: Known
) -> list[Odd]:
    """Return a sentence on masks that lie a voxel off. known: scans with modalities, or with a mask, about which
    something else is reported."""
    black = {(scan.scan_id, name) for scan in scans for name in modalities if not shows_lesion(scan, name)}
    return list(nudged(scans, modalities, [each.moves for each in images], known | black))


def _values(scans: Sequence[Scan], modalities: Sequence[str], dark: Known, known: Known) -> list[Odd]:
    """Return what is odd about how values were written, and about parts of slices that are no image.

    dark: scans with modalities that are inverted. known: those about which something is reported.
    """
    return [
        *odd_codes(scans, modalities),
        *odd_numbers(scans, modalities, dark | _with_defects(scans, modalities)),
        *rounded(scans, modalities),
        *scaled_by_themselves(scans, modalities),
        *emptied(scans, modalities, known),
        *odd_planes(scans, modalities, known),
    ]


def _with_defects(scans: Sequence[Scan], modalities: Sequence[str]) -> Known:
    """Return the scans with a modality that is reported to hold values far above all others."""
    found: Known = set()
    for name in modalities:
        peaks = [scan for scan in scans if peaks_in_words(scan, name)]
        found |= {(scan.scan_id, name) for scan in [*peaks, *above_others(scans, name)]}
    return found


def _drawn(
    scans: Sequence[Scan], modalities: Sequence[str], images: Sequence[Reduced], known: Known
) -> list[Odd]:
    """Return what is odd about how masks are drawn: outlines, masks larger or smaller than the lesion, and flat ends.

    Whether a mask lies in the right place is asked elsewhere. known: modalities that are reported to be unlike.
    """
    drawn = list(odd_drawn_lesions(scans))
    drawn += resized(scans, modalities, known | _known(drawn))
    drawn += ended_flat(scans, modalities, [each.ends for each in images], known | _known(drawn))
    return drawn


def _looks(
    rows: Sequence[Row], scans: Sequence[Scan], images: Sequence[Reduced], told: Known, cut: Known
) -> tuple[list[Odd], list[Odd]]:
    """Return what is odd about how scans look; and modalities whose body is moved, which may be another scan's.

    Each check leaves out scans that look otherwise for a more likely reason: one that is turned, mirrored or moved is
    not said to fade, and one that fades is not said to have another scale or curve. told: scans with modalities that
    are another scan's, inverted, or have slices in another order, or with masks that hold something else. cut: those
    that end along a straight line amid the body, whose fading and place are not judged.
    """
    modalities, patterns = list(rows[0].files), [each.patterns for each in images]
    turned = list(lying_otherwise(scans, modalities, patterns))
    known = told | _known(turned)
    turned += odd_mirrored(scans, modalities, [each.midlines for each in images], known)
    known |= _known(turned) | cut
    high = list(too_high(scans, [row.patient_id for row in rows], modalities, patterns, known))
    whole = [(scan, each.means) for scan, each in zip(scans, images, strict=True) if not cut_short(scan)]
    shown, means = [scan for scan, _ in whole], [each for _, each in whole]
    moved = list(beside(shown, modalities, known))
    besides = beside_most(shown, modalities, means, lying_of(modalities, patterns))
    fades = list(faded(shown, besides, known | _known([*high, *moved])))
    values = odd_scans(scans, modalities, told | _known(fades), known | _known([*moved, *fades]))
    high = [odd for odd in high if not _known([odd]) & _known(values)]
    looks = [*values, *fields_apart(shown, besides), *turned, *high, *fades]
    return [*looks, *odd_borders(scans, modalities, known | _known([*fades, *moved, *high]))], moved


def _known(odd: Sequence[Odd]) -> Known:
    return {known for each in odd for known in each.shown}


def _ids_alike(rows: Sequence[Row]) -> list[Odd]:
    patients = [row.patient_id for row in rows]
    told = [f"{later} and {first} look alike: are they one patient?" for later, first in may_be_one(patients)]
    told += [f"{in_groups(groups)} {text}" for text, groups in may_be_visits(patients).items()]
    return [of_cohort(f"patients {each}") for each in told]


def _check_odd(
    rows: Sequence[Row], odd: Sequence[Odd], shared: Sequence[Odd], accept_odd: str | None
) -> None:
    """Raise InputError where something odd needs a reason and none is given.

    For these scans it first says what they share with others, since whoever corrects a file that is another patient's
    corrects the wrong thing.
    """
    needing = [each for each in odd if each.refused]
    if not needing or accept_odd is not None:
        return
    where = {row.scan_id: row.where for row in rows}
    scans = {each.scan_id for each in needing}
    told = [each for each in shared if scans & {scan_id for scan_id, _ in each.shown}] + needing
    found = [f"{where[each.scan_id]}: {each.text}" if each.scan_id else each.text for each in told]
    raise InputError(
        "The cohort holds what cannot be right, or would give the lesions away.",
        where="manifest",
        expected="scans of one unit of values, masks of a lesion, one id for each patient, and orientations that do "
        "not depend on the lesion",
        found=first_of(found, MOST_SENTENCES_TOLD, "\n  "),
        do="Correct the files or take the scans out; if they are right as they are, say why: --accept-odd REASON.",
    )


def kept_oddities(odd: Sequence[Odd], accept_odd: str | None) -> CohortPlacement:
    """Return what was odd, for the store's attributes, and the reason by which it was accepted if one was needed."""
    told = [
        OddFact(scan_id=each.scan_id, text=each.text, files=list(each.files), among=list(each.among))
        for each in odd
    ]
    needed = accept_odd is not None and any(each.refused for each in odd)
    return {"odd": told, "accepted": accept_odd if needed else None}
