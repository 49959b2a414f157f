"""A cohort's scans against one another: what cannot be right is refused, what is odd is told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.manifest.ids import may_be_one
from data_prep.manifest.manifest import Row, refused
from data_prep.manifest.visits import in_groups, of_visits
from data_prep.oddities.bodies import beside, unlike_bodies
from data_prep.oddities.exchanged import exchanged
from data_prep.oddities.fades import faded
from data_prep.oddities.fields import odd_fields, spellings
from data_prep.oddities.heights import too_high
from data_prep.oddities.lying_otherwise import midlines, odd_mirrored, odd_order
from data_prep.oddities.marks import Marks, marks
from data_prep.oddities.moved import find_moved
from data_prep.oddities.nudged import moves_of, nudged
from data_prep.oddities.numbers import emptied, inverted, odd_numbers, rounded
from data_prep.oddities.odd import odd_scans
from data_prep.oddities.odd_lesions import odd_drawn_lesions, odd_pieces
from data_prep.oddities.oddity import Odd, cut_short, of_cohort
from data_prep.oddities.one_sided import one_sided
from data_prep.oddities.orientation import lying_of, lying_otherwise
from data_prep.oddities.planes import odd_planes
from data_prep.oddities.taken import odd_codes
from data_prep.oddities.twins import Twins, find_between, find_twins, means_of, reduced
from hnscc.base.arrays import Bools, Images
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, first_of
from hnscc.cohort.placement import CohortPlacement, OddFact
from hnscc.cohort.store_building import read_written_images, read_written_mask
from hnscc.cohort.store_format import Scan

MOST_SENTENCES_TOLD = 20  # sentences of one error
# Correlation of all that two visits of a patient have, where that is one modality: a still head, laid on one atlas, may
# come near it. Of several, another visit's PET differs by far more than twins.ALIKE_CORRELATION.
ONE_MODALITY_CORRELATION = 0.9995


@dataclass(frozen=True)
class Reduced:
    """What is kept of a scan's images to compare them.

    means: (C, Z, 16, 16), of parts of each slice, in the images' units; slices: the same, each slice of mean 0 and
    length 1 (oddities.twins). marks: of each modality what stands out (oddities.marks). midlines: (C, Z, H), the column
    midway between both sides of the skin, NaN where it does not show (oddities.lying_otherwise). moves: (C, 3), in mm
    along z, y and x, how the mask must be moved to fit best, NaN where it has no border (oddities.nudged).
    """

    means: NDArray[np.float32]
    slices: NDArray[np.float32]
    marks: Sequence[Marks]
    midlines: NDArray[np.float32]
    moves: NDArray[np.float32]


def reduce_images(images: Images, lesion: Bools, scan: Scan) -> Reduced:
    """images: (Z, C, H, W), the stored slices of a scan; lesion: (Z, H, W), its mask on them."""
    means = means_of(images)
    return Reduced(
        means.astype(np.float32),
        reduced(means),
        marks(images),
        midlines(images),
        moves_of(images, lesion, scan),
    )


def judged(
    rows: Sequence[Row],
    scans: Sequence[Scan],
    images: Sequence[Reduced],
    unfinished: Path,
    accept_odd: str | None,
) -> list[Odd]:
    """What is odd about the scans of these rows, of which `images` are what `reduce_images` kept.

    InputError: two patients share images, or something needs a reason (oddities.odd) and accept_odd gives none.
    """
    modalities = list(rows[0].files)

    def read(at: int) -> tuple[Images, Bools]:
        name = scans[at].scan_id
        return read_written_images(unfinished, name), read_written_mask(unfinished, name) == 1

    looks, moved = _looks(rows, scans, images)
    off = list(nudged(scans, modalities, [each.moves for each in images], _known([*looks, *moved])))
    # A mask that is a slice off ends within the lesion on one side, but lacks no part.
    looks = [odd for odd in looks if not odd.shown or not set(odd.shown) <= _known(off)]
    whole = [scan for scan in scans if not cut_short(scan)]
    odd = [
        *_shared_images(rows, scans, images, unfinished),
        *_of_another_visit(rows, scans, images, unfinished),
        *_ids_alike(rows),
        *looks,
        *exchanged(scans, modalities, looks, read),
        *off,
        *one_sided(scans, modalities),
        *odd_fields(scans, modalities),
        *spellings(scans),
        *odd_drawn_lesions(scans),
        *odd_pieces(scans),
        *odd_codes(scans, modalities),
        *odd_numbers(scans, modalities),
        *rounded(scans, modalities),
        *emptied(scans, modalities),
        *odd_planes(scans, modalities),
        *moved,
        *unlike_bodies(whole, modalities, _known(looks), moved),
        *odd_order(scans, modalities, [each.slices for each in images]),
    ]
    _check_odd(rows, odd, accept_odd)
    return odd


def _looks(
    rows: Sequence[Row], scans: Sequence[Scan], images: Sequence[Reduced]
) -> tuple[list[Odd], list[Odd]]:
    """What is odd about how scans look; and about modalities whose body is moved, of which it may be asked yet whether
    it is another scan's. Each asks of those alone that look otherwise for no likelier reason: a scan that is turned,
    mirrored or moved does not fade, and one that fades has no other scale and went through no curve."""
    modalities, slices = list(rows[0].files), [each.slices for each in images]
    turned = list(lying_otherwise(scans, modalities, slices))
    known = _known([*turned, *(odd for name in modalities for odd in inverted(scans, name))])
    turned += odd_mirrored(scans, modalities, [each.midlines for each in images], known)
    known |= _known(turned)
    high = list(too_high(scans, [row.patient_id for row in rows], modalities, slices, known))
    whole = [(scan, each.means) for scan, each in zip(scans, images, strict=True) if not cut_short(scan)]
    shown, means = [scan for scan, _ in whole], [each for _, each in whole]
    moved = list(beside(shown, modalities, known))
    alike = lying_of(modalities, slices)
    fades = list(faded(shown, modalities, means, alike, known | _known([*high, *moved])))
    values = odd_scans(scans, modalities, _known(fades))
    high = [odd for odd in high if not _known([odd]) & _known(values)]
    return [*values, *turned, *high, *fades], moved


def _known(odd: Sequence[Odd]) -> set[tuple[str, str]]:
    """Scans with modalities that look otherwise for a reason that is told."""
    return {known for each in odd for known in each.shown}


def _ids_alike(rows: Sequence[Row]) -> list[Odd]:
    patients = [row.patient_id for row in rows]
    odd = [
        of_cohort(f"patients {later} and {first} look alike: are they one patient?")
        for later, first in may_be_one(patients)
    ]
    if groups := of_visits(patients):
        text = "differ by what may be a visit alone: if they are visits of one patient, write one patient_id into"
        odd.append(of_cohort(f"patients {in_groups(groups)} {text} their rows"))
    return odd


def _shared_images(
    rows: Sequence[Row], scans: Sequence[Scan], images: Sequence[Reduced], unfinished: Path
) -> list[Odd]:
    """What scans of one patient share, or nearly of two; InputError where two patients share the images of a
    modality, or a scan stands in the manifest twice. The first would put one image into training and test."""
    modalities = list(rows[0].files)
    pairs = _pairs(rows, scans, images, unfinished)
    shared = Counter((twins.first, twins.second) for twins in pairs if twins.same)
    odd = []
    for twins in pairs:
        first, second, name = rows[twins.first], rows[twins.second], modalities[twins.modality]
        own = first.patient_id == second.patient_id
        if twins.same and not (own and shared[twins.first, twins.second] < len(modalities)):
            raise refused(
                "Two scans hold the same images.",
                f"{second.where}, column {name}",
                "different scans" if own else "images of another patient",
                f"those of {first.where} (compared by content, without the masks)",
            )
        whose = "of the same patient" if own else "of another patient"
        if twins.same:
            odd.append(
                Odd(second.scan_id, f"{name} is that of scan {first.scan_id}, {whose}, too", files=(name,))
            )
        elif not own:
            odd.append(
                Odd(
                    second.scan_id,
                    f"{name} is nearly that of scan {first.scan_id}, {whose} {_how(twins)}",
                    files=(name,),
                )
            )
    return odd


def _of_another_visit(
    rows: Sequence[Row], scans: Sequence[Scan], images: Sequence[Reduced], unfinished: Path
) -> list[Odd]:
    """Modalities that two visits of a patient nearly share, maybe placed on another grid: copied, as one visit's files
    into another's row, or all of them."""
    modalities = list(rows[0].files)
    visits = [
        (first, second)
        for first, second in combinations(range(len(rows)), 2)
        if rows[first].patient_id == rows[second].patient_id
    ]
    found = find_between(
        [each.slices for each in images],
        visits,
        lambda at: read_written_images(unfinished, scans[at].scan_id),
    )
    odd = []
    for (first, second), both in groupby(found, key=lambda twins: (twins.first, twins.second)):
        alike = list(both)
        of = f"scan {rows[first].scan_id}, of the same patient"
        if len(alike) == len(modalities):
            least = min(alike, key=lambda twins: twins.correlation)
            if len(alike) > 1 or least.correlation > ONE_MODALITY_CORRELATION:
                text = f"its images are nearly those of {of} {_how(least)}: is one visit listed twice?"
                odd.append(Odd(rows[second].scan_id, text, files=tuple(modalities)))
            continue
        odd += [
            Odd(
                rows[second].scan_id,
                f"{modalities[twins.modality]} is nearly that of {of} {_how(twins)}, while other modalities differ: is "
                "it of this visit?",
                files=(modalities[twins.modality],),
            )
            for twins in alike
            if not twins.same
        ]
    return odd


def _how(twins: Twins) -> str:
    if twins.places is None:
        return f"(correlation {twins.correlation:.4f})"
    return (
        f"(moved or changed: {count_of(twins.places, 'place')} of it lie alike; correlation {twins.correlation:.4f} "
        "where one is laid on the other)"
    )


def _pairs(
    rows: Sequence[Row], scans: Sequence[Scan], images: Sequence[Reduced], unfinished: Path
) -> list[Twins]:
    """Scans that share images as they are stored; of two patients, also those that do once one is moved or changed."""

    def read(at: int) -> Images:
        return read_written_images(unfinished, scans[at].scan_id)

    pairs = find_twins([each.slices for each in images], read)
    known = {(twins.first, twins.second) for twins in pairs}
    moved = find_moved(
        [each.marks for each in images],
        lambda one, two: rows[one].patient_id != rows[two].patient_id and (one, two) not in known,
        read,
    )
    return sorted([*pairs, *moved], key=lambda twins: (twins.second, twins.first, twins.modality))


def _check_odd(rows: Sequence[Row], odd: Sequence[Odd], accept_odd: str | None) -> None:
    """InputError where something odd needs a reason, and none is given."""
    needing = [each for each in odd if each.refused]
    if not needing or accept_odd is not None:
        return
    where = {row.scan_id: row.where for row in rows}
    found = [f"{where[each.scan_id]}: {each.text}" if each.scan_id else each.text for each in needing]
    raise InputError(
        "The cohort holds what cannot be right, or would give the lesions away.",
        where="manifest",
        expected="scans of one unit, masks of a lesion, and orientations that do not depend on the lesion",
        found=first_of(found, MOST_SENTENCES_TOLD, "\n  "),
        do="Correct the files or take the scans out; if they are right as they are, say why: --accept-odd REASON.",
    )


def told(odd: Sequence[Odd], accept_odd: str | None) -> CohortPlacement:
    """What was odd, for the store's attributes, and by which reason it was accepted, where that was needed."""
    told = [OddFact(scan_id=each.scan_id, text=each.text, files=list(each.files)) for each in odd]
    needed = accept_odd is not None and any(each.refused for each in odd)
    return {"odd": told, "accepted": accept_odd if needed else None}
