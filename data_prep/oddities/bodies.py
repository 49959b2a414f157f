"""Finds modalities of a scan that show the body in another place, turned, or that show another body.

Their headers say how they lie on one another. How each modality shows the skin is known only from most of the scans.
"""

from collections.abc import Container, Iterable, Iterator, Sequence, Set
from statistics import median

import numpy as np

from data_prep.oddities.oddity import LEAST_SCANS, SD_BY_MEDIAN, Odd, limit
from data_prep.oddities.turned_bodies import BothBodies, odd_turned
from hnscc.base.arrays import Floats
from hnscc.cohort.placement import BodyFacts
from hnscc.cohort.store_format import Scan

FAR_MM, FAR_SDS = 6.0, 10.0  # mm; robust standard deviations: tissue that shows on PET may not show on MRI
# Of how far a body is moved: each of its sides moves at least so much. Where a body fades, one side stays.
MOVED_SHARE, END_DIRECTIONS = 0.5, 4
ENDS = (("back", "front"), ("left", "right"))
# In mm per mm: of the body's places along the slices, and of its rows along the columns.
LEAN_SLOPE, SHEAR_SLOPE = 0.12, 0.06
# Robust standard deviations: in the public cohort a limb that lies askew in one slab leans by 7.
SHEAR_SDS = 10.0
LEAST_CROSSED_SCANS = 8  # scans that are needed to ask whose body a modality shows
# As the logarithm of a factor, and in robust standard deviations, of which the public cohort has 6.5 at most.
WIDER_LOGARITHM, WIDER_SDS = 0.12, 8.0
MIRRORED_APART_SHARE = 0.6  # of the distance between bodies: what is left of it if one of them is mirrored
HARMONICS = 5  # of the radii that are compared, besides their mean
LEAST_SD_MM, MOST_SDS = 0.25, 10.0  # mm, at least; standard deviations that count at most
# Times that another scan's body fits better than the scan's own: 2.6 at most in 34 scans of different bodies.
BETTER_TIMES = 4.0
# Times the cohort's median misfit: at most 15 in these scans and 20 in made-up heads; mirrored heads have 35 and more.
FAR_OFF_TIMES = 30.0
# In mm, root mean square: nearer bodies fit. The second holds where no other scan's body fits, and leaves out the
# radius, since noise and blur around a dark body look like a part of it.
LEAST_APART_MM, LEAST_OFF_MM = 1.0, 1.25
RADIUS = 2  # the position of the radius among the numbers that are compared


def beside(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """Yield a sentence on each modality of a scan that shows the body beside where the grid's modality shows it.

    scans, known: as in `unlike_bodies`.
    """
    reference = scans[0].placement["reference"] if scans else ""
    for modality in modalities:
        if modality != reference:
            moved = _moved(_both(scans, modality, reference), modality, reference)
            yield from _unknown(moved, modality, reference, known)


def unlike_bodies(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    known: Container[tuple[str, str]] = (),
    moved: Sequence[Odd] = (),
) -> Iterator[Odd]:
    """Yield a sentence on each modality of a scan that shows the body turned or shaped otherwise than the
    grid's modality.

    Nothing is said of fewer than 5 scans, nor of bodies that fit another scan's in fewer than 8 scans; nor of scans
    with a modality that is `known` to look otherwise for a reported reason (`Odd.shown`). moved: what `beside`
    returned; of these scans it is only said whose body they show.
    """
    if len(scans) < LEAST_SCANS:
        return
    reference = scans[0].placement["reference"]
    for modality in modalities:
        if modality != reference:
            both = _both(scans, modality, reference)
            told = {odd.scan_id for odd in moved if (odd.scan_id, modality) in odd.shown}
            for more in (_one_sided, odd_turned, _sheared, _wider):
                found = [odd for odd in more(both, modality, reference) if odd.scan_id not in told]
                told |= {odd.scan_id for odd in found}
                yield from _unknown(found, modality, reference, known)
            yield from _unknown(_anothers(both, modality, reference, told), modality, reference, known)


def _unknown(
    odd: Iterable[Odd], modality: str, reference: str, known: Container[tuple[str, str]]
) -> Iterator[Odd]:
    """Yield those on scans of which neither modality is known to look otherwise."""
    for each in odd:
        if not any((each.scan_id, name) in known for name in (modality, reference)):
            yield each


def body_of(scan: Scan, modality: str) -> BodyFacts | None:
    """Return what data_prep.placing.bodies found; None where no slice shows the body in all modalities."""
    return scan.placement["values"][modality]["body"]


def _both(scans: Sequence[Scan], modality: str, reference: str) -> list[BothBodies]:
    """Return the scans that show the body in both modalities, with both bodies."""
    found = [(scan, body_of(scan, modality), body_of(scan, reference)) for scan in scans]
    return [(scan, one, two) for scan, one, two in found if one and two]


def _moved(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """Yield a sentence on each body of which both sides are moved."""
    for scan, move, sides in _beside(both):
        axis = int(np.argmax(np.abs(move)))
        if (sides[axis] * np.sign(move[axis])).min() >= MOVED_SHARE * abs(move[axis]):
            yield Odd(
                scan.scan_id,
                f"{modality} shows the body {np.hypot(*move):.0f} mm beside where {reference} shows it, against the "
                "other scans: does its header place it rightly?",
                files=(modality,),
                shown=((scan.scan_id, modality), (scan.scan_id, reference)),
            )


def _one_sided(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """Yield a sentence on each body that ends elsewhere on one side; who calls it leaves out those that are moved as
    a whole."""
    for scan, move, sides in _beside(both):
        axis = int(np.argmax(np.abs(move)))
        at = int(np.argmax(np.abs(sides[axis])))
        less = sides[axis][at] < 0 if at == 0 else sides[axis][at] > 0
        fewer, more = (modality, reference) if less else (reference, modality)
        yield Odd(
            scan.scan_id,
            f"{fewer} shows {abs(sides[axis][at]):.0f} mm less of the body to the {ENDS[axis][at]} than {more} does, "
            "against the other scans, and not so on the opposite side: does one of them fade, or lack a part?",
            files=(fewer,),
        )


def _beside(both: Sequence[BothBodies]) -> Iterator[tuple[Scan, Floats, Floats]]:
    """Yield the scans whose body lies far from that of the reference, compared with other scans; in mm, by how much its
    centre is off to the back and left, (2,), and by how much its ends are, (2, 2): back and front, left and right."""
    if len(both) < LEAST_SCANS:
        return
    apart = np.array([[one[side] - two[side] for side in ("back", "left")] for _, one, two in both])
    off = apart - np.median(apart, axis=0)
    most = [limit(side, FAR_MM, FAR_SDS) for side in off.T]
    ends = np.array([_ends(one) - _ends(two) for _, one, two in both])
    ends -= np.median(ends, axis=0)
    for (scan, _, _), move, sides in zip(both, off, ends, strict=True):
        if (np.abs(move) > most).any():
            yield scan, move, sides


def _ends(found: BodyFacts) -> Floats:
    """Return where the body ends to the back and to the front, to the left and to the right, in mm: (2, 2)."""
    radii = np.array(found["radii"])
    quarter = np.arange(-END_DIRECTIONS, END_DIRECTIONS + 1)
    far = [float(radii[(quarter + turn) % len(radii)].mean()) for turn in np.arange(4) * len(radii) // 4]
    left, back, right, front = far
    return np.array(
        [[found["back"] + back, found["back"] - front], [found["left"] + left, found["left"] - right]]
    )


def _sheared(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """Yield a sentence on each modality in which the body leans from slice to slice, or is sheared within slices,
    unlike in other scans. Scans whose outlines do not tell this are left out."""
    both = [(scan, one, two) for scan, one, two in both if "shear" in one and "shear" in two]
    if len(both) < LEAST_SCANS:
        return
    how = ("from slice to slice", "from slice to slice", "in the plane of the slices")
    apart = np.array([[*_leans(one, two), one["shear"] - two["shear"]] for _, one, two in both])
    off = np.abs(apart - np.median(apart, axis=0))
    most = [
        limit(side, least, SHEAR_SDS)
        for side, least in zip(off.T, (LEAN_SLOPE, LEAN_SLOPE, SHEAR_SLOPE), strict=True)
    ]
    fitting = _fitting_mirrored(both)
    for (scan, one, two), each in zip(both, off, strict=True):
        bounds = np.add(most, (*_both_lean(one, two), 0.0))
        beyond = [
            (move / bound, move, way)
            for move, bound, way in zip(each, bounds, how, strict=True)
            if move > bound
        ]
        if beyond:
            _, move, way = max(beyond)
            yield Odd(
                scan.scan_id,
                _how_sheared(modality, reference, move, way, mirrored=scan.scan_id in fitting),
                files=(modality,),
            )


def _how_sheared(modality: str, reference: str, move: float, way: str, mirrored: bool) -> str:
    """Return the sentence; it names no cause, since a body of other grey values may look sheared, as less or more of
    it shows."""
    if mirrored:
        return (
            f"{modality} shows a body that fits that of {reference} better mirrored from left to right, against the "
            "other scans: is left where its header says?"
        )
    return (
        f"{modality} shows a body of another shape than {reference}, against the other scans, as if sheared {way} by "
        f"{move:.2f} mm per mm: was one of them resliced, its gantry tilted, or did the body lie otherwise in the two "
        "scanners? Look at the picture"
    )


def _fitting_mirrored(both: Sequence[BothBodies]) -> set[str]:
    """Return the scans in which one body, mirrored from left to right, fits the other far better."""
    apart = np.array([_numbers(one) - _numbers(two) for _, one, two in both])
    turned = np.array([_numbers(_mirrored(one)) - _numbers(two) for _, one, two in both])
    usual = np.median(apart, axis=0)
    far, near = (np.sqrt(((each - usual) ** 2).mean(axis=1)) for each in (apart, turned))
    return {
        scan.scan_id
        for (scan, _, _), one, two in zip(both, far, near, strict=True)
        if two < MIRRORED_APART_SHARE * one
    }


def _mirrored(found: BodyFacts) -> BodyFacts:
    """Return a body mirrored from left to right: the direction at an angle becomes 180 degrees minus that."""
    radii = found["radii"]
    half = len(radii) // 2
    return found | {
        "left": -found["left"],
        "radii": [radii[(half - at) % len(radii)] for at in range(len(radii))],
    }


def _wider(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """Yield a sentence on each modality in which the body is wider or narrower, beside the reference, than in
    other scans."""
    if len(both) < LEAST_SCANS:
        return
    logs = [float(np.log(np.mean(one["radii"]) / np.mean(two["radii"]))) for _, one, two in both]
    usual = median(logs)
    most = limit([each - usual for each in logs], WIDER_LOGARITHM, WIDER_SDS)
    for (scan, _, _), each in zip(both, logs, strict=True):
        if abs(each - usual) > most:
            yield Odd(
                scan.scan_id,
                f"{modality} shows the body {np.exp(each - usual):.2f} times as wide beside {reference} as in the "
                "other scans: are its pixels of the size that its header says?",
                files=(modality,),
            )


def _leans(one: BodyFacts, two: BodyFacts) -> list[float]:
    return [one["lean_back"] - two["lean_back"], one["lean_left"] - two["lean_left"]]


def _both_lean(one: BodyFacts, two: BodyFacts) -> list[float]:
    """Return how far the body leans on both: a limb that lies askew may end elsewhere on one, and seem to lean
    less there."""
    pairs = [(one[way], two[way]) for way in ("lean_back", "lean_left")]
    return [min(abs(a), abs(b)) if a * b > 0 else 0.0 for a, b in pairs]


def _anothers(
    both: Sequence[BothBodies], modality: str, reference: str, beside: Set[str | None]
) -> Iterator[Odd]:
    """Yield a sentence on each modality whose body fits another scan's as closely as most fit their own, or fits its
    own far worse than most; the latter is not said of scans that are known to lie `beside` it."""
    if len(both) < LEAST_CROSSED_SCANS:
        return
    shown = np.array([_numbers(one) for _, one, _ in both])
    there = np.array([_numbers(two) for _, _, two in both])
    apart = shown - there
    usual = np.median(apart, axis=0)
    spread = np.maximum(SD_BY_MEDIAN * np.median(np.abs(apart - usual), axis=0), LEAST_SD_MM)
    off = (shown[:, None] - there - usual) / spread  # (n, n, numbers): each body less each reference
    unlike = np.minimum(off**2, MOST_SDS**2).mean(axis=2)
    own = np.diag(unlike)
    usual_own = float(np.median(own))
    missed = apart - usual
    far = np.sqrt((missed**2).mean(axis=1)) >= LEAST_APART_MM
    shaped = np.sqrt((np.delete(missed, RADIUS, axis=1) ** 2).mean(axis=1)) >= LEAST_OFF_MM
    for at, (scan, _, _) in enumerate(both):
        best = int(np.argmin(unlike[at]))
        fits = unlike[at, best] < BETTER_TIMES * usual_own and own[at] > BETTER_TIMES * max(
            unlike[at, best], usual_own
        )
        off_all = shaped[at] and own[at] > FAR_OFF_TIMES * usual_own and scan.scan_id not in beside
        if (far[at] and fits) or off_all:
            whose = f", but that of scan {both[best][0].scan_id}" if fits else ""
            other = "" if fits else ", or does one of them fade, or lack a part"
            yield Odd(
                scan.scan_id,
                f"{modality} shows a body that does not fit that of {reference}{whose}: are both of this scan{other}?",
                files=(modality,),
            )


def _numbers(found: BodyFacts) -> Floats:
    """Return a body's position, mean radius and shape, all in mm: (n,)."""
    harmonics = np.fft.rfft(found["radii"])[: HARMONICS + 1] / len(found["radii"])
    shape = (2 * harmonics[2:]).view(np.float64)  # real and imaginary parts in turn
    return np.array([found["back"], found["left"], harmonics[0].real, *shape])
