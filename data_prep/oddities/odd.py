"""Judges what is odd about scans, compared with others of their cohort, or about one new scan beside those of a study.

It is reported, kept in the store, and refused where it misleads. No image is read here: all follows from the facts that
placing kept (hnscc.cohort.placement).
"""

import math
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from data_prep.oddities.curves import curved, fading
from data_prep.oddities.highest import odd_highest
from data_prep.oddities.numbers import inverted, not_measured
from data_prep.oddities.odd_lesions import holds_too_much, odd_lesions
from data_prep.oddities.oddity import MASK, Odd, cut_short
from data_prep.oddities.off_border import off_border
from data_prep.oddities.one_sided import taken_otherwise
from data_prep.oddities.orientation import lies_otherwise
from data_prep.oddities.scales import above_lowest, odd_scales
from data_prep.oddities.separating import separating
from data_prep.oddities.taken import less_covered, odd_orientations, odd_units, unmeasured
from data_prep.oddities.twins import means_of, reduced
from hnscc.base.arrays import Images
from hnscc.cohort.placement import Placement, ValueFacts
from hnscc.cohort.store_format import Scan


def odd_scans(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    known: Collection[tuple[str, str]] = (),
    unlike: Collection[tuple[str, str]] = (),
) -> list[Odd]:
    """Return all that is odd, the cohort's own first, then scan by scan in the given order.

    For a scan whose mask holds too much, neither scale nor curve is judged, since what lies outside of such a mask is
    not the tissue. known, unlike: as in `odd_values`.
    """
    inverted_masks = {scan.scan_id for scan in scans if holds_too_much(scan)}
    found = [
        *odd_orientations(scans, modalities),
        *taken_otherwise(scans, modalities),
        *odd_units(scans, modalities),
    ]
    for modality in modalities:
        found += [
            *odd_values(scans, modality, {*known, *((name, modality) for name in inverted_masks)}, unlike),
            *separating(scans, modality),
            *less_covered(scans, modality),
        ]
    found += odd_lesions(scans)
    for scan in scans:
        found += unmeasured(scan, modalities)
    return _in_order(found, scans)


def odd_borders(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> list[Odd]:
    """Return what is odd about where masks lie, in the order of `odd_scans`.

    A mask is not compared with a modality that is `known` to look otherwise for a reported reason, or that does not
    show the slices of the lesion. Masks that are `known` to be something else than a lesion (MASK) are left out.
    """
    found: list[Odd] = []
    for modality in modalities:
        found += off_border(comparable(scans, modality, known), modality)
    return _in_order(found, scans)


def _in_order(found: Sequence[Odd], scans: Sequence[Scan]) -> list[Odd]:
    order = {None: -1} | {scan.scan_id: position for position, scan in enumerate(scans)}
    return sorted(found, key=lambda odd: order[odd.scan_id])


def comparable(scans: Sequence[Scan], modality: str, told: Container[tuple[str, str]]) -> list[Scan]:
    """Return the scans whose masks can be compared with a modality: it shows their lesion, and neither it nor the mask
    is `told` to be unlike."""
    return [
        scan
        for scan in scans
        if (scan.scan_id, modality) not in told
        and (scan.scan_id, MASK) not in told
        and shows_lesion(scan, modality)
    ]


def shows_lesion(scan: Scan, modality: str) -> bool:
    """Return whether a modality shows every slice of the lesion, and the slices beside it."""
    return not any(any(scan.lesion_px[max(0, z - 1) : z + 2]) for z in scan.unseen([modality]))


def odd_values(
    scans: Sequence[Scan],
    modality: str,
    known: Collection[tuple[str, str]] = (),
    unlike: Collection[tuple[str, str]] = (),
) -> list[Odd]:
    """Return what is odd about the values of a modality.

    Some scans are not judged by all of it, since a likelier reason is reported. An inverted scan is said to be that
    alone. One that is cut short, or whose numbers cannot be those measured, is not said to have a curve. One whose
    values went through a curve is not said to have another scale, unless another unit of values. One that is `known` to
    look otherwise for a reported reason (`Odd.shown`) is said to have neither. Where a modality is `unlike` the others
    for such a reason, no modality of that scan is said to have a curve, since values are compared where the others show
    the body.
    """
    turned = list(inverted(scans, modality))
    others = [scan for scan in scans if scan.scan_id not in _of(turned)]
    told = {scan.scan_id for scan in others if (scan.scan_id, modality) in known}
    elsewhere = told | {scan_id for scan_id, name in unlike if name != MASK}
    compared = [scan for scan in others if not cut_short(scan) and not not_measured(scan, modality)]
    curves = [odd for odd in curved(compared, modality) if odd.scan_id not in elsewhere]
    told |= _of(curves)
    scales = [odd for odd in odd_scales(others, modality) if odd.refused or odd.scan_id not in told]
    return [*turned, *scales, *odd_highest(others, modality), *curves]


def _of(odd: Sequence[Odd]) -> set[str]:
    """Return the scans that sentences are about."""
    return {each.scan_id for each in odd if each.scan_id is not None}


NEW = "new"  # the id of the new scan among those of the study, which are numbered


def odd_beside(
    images: Images,
    placement: Placement,
    modalities: Sequence[str],
    usual: Mapping[str, Any] | None,
    *,
    lesion_known: bool,
) -> Iterator[str]:
    """Yield a sentence on each thing that is odd about a new scan, or one that says that nothing was compared.

    Such are another unit of values, scale or level, inverted values, and a scan that lies otherwise. images: (Z, C, H,
    W), the stored slices of these modalities, in raw values. usual: what the study's scans are like
    (hnscc.cohort.kept_of_store), or None where its run folder does not say. lesion_known: whether a mask says where the
    lesion is, which is left out of what the study's scans are like.
    """
    if usual is None:
        yield (
            "not compared with the study's scans: its run folder, or the store that it was made from, was made before "
            "they kept what these are like; prepare the store again, and `hnscc run STUDY` adds that"
        )
        return
    slices = reduced(means_of(images))
    for at, modality in enumerate(modalities):
        theirs = [_scan(str(at), modality, values) for at, values in enumerate(usual["values"][modality])]
        values = placement["values"][modality]
        if not lesion_known:
            values = _beside_a_lesion(values, usual["values"][modality])
        new = _scan(NEW, modality, values)
        told = [odd.text for odd in odd_values([*theirs, new], modality) if odd.scan_id == NEW]
        most = usual["lying"].get(modality)
        if most and (sentence := lies_otherwise(modality, slices[at], most)):
            told.append(sentence)
        told = told or [odd.text for odd in fading([*theirs, new], modality) if odd.scan_id == NEW]
        yield from (f"beside the study's scans, {text}" for text in told)


def _beside_a_lesion(values: ValueFacts, of_study: Sequence[ValueFacts]) -> ValueFacts:
    """Return the values of a scan whose lesion is unknown, so that its brightest tissue may be lesion.

    The brightness of its tissue is either its own, or follows from its median and the study's ratio of both, whichever
    is nearer to the study's scans; another scale changes both.
    """
    theirs = [(above_lowest(each, "last"), above_lowest(each, "median")) for each in of_study]
    theirs = [(last, middle) for last, middle in theirs if middle > 0]
    tissue, own = values["tissue"], above_lowest(values, "median")
    if not theirs or tissue is None or own <= 0:
        return values
    usual = median(last for last, _ in theirs)
    by_median = own * median(last / middle for last, middle in theirs)
    nearer = min(above_lowest(values, "last"), by_median, key=lambda bright: abs(math.log(bright / usual)))
    return {**values, "tissue": {**tissue, "last": values["first"] + nearer}}


def _scan(scan_id: str, modality: str, values: ValueFacts) -> Scan:
    """Return a scan of which only the values are known."""
    return Scan(
        scan_id=scan_id,
        patient_id="",
        slices=0,
        lesion_px=(),
        source_lesion_px=(),
        spacing_mm=(1.0, 1.0, 1.0),
        affine=(),
        placement={"values": {modality: values}},
        digest="",
        split=None,
    )
