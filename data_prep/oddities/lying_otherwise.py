"""Images that lie otherwise than the body: slices in another order, modalities turned in the plane of the slices, and
modalities that are mirror images of one another from left to right.

Slices are sorted by name, or as they were acquired (every second one first). A modality is mirrored where a header
lost which way an axis runs (its handedness, NIfTI's qfac). Heads are nearly their own mirror image, so that no mean
image of a cohort shows it. But no skin is quite even: where the line midway between its left and its right side leaves
to the left on one modality, from row to row and from slice to slice, it does so on the other; on one that is mirrored
it leaves to the right.
"""

from collections.abc import Container, Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree

from data_prep.oddities.oddity import LEAST_SCANS, Odd, limit, of_some
from data_prep.placing.bodies import largest_filled
from data_prep.placing.found import body, smoothed
from hnscc.base.arrays import Bools, Floats, Images
from hnscc.cohort.placement import BodyFacts
from hnscc.cohort.store_format import Scan

LEAST_SLICES = 8  # slices that show something
FAR_SLICES = 2  # slices apart: neighbours, or those next to them where one slice is poor
SYMMETRIC_SHARE = 0.5  # of these, mirrored at one slice: the body is alike above and below it
MANY_SLICES = 3  # slices that belong beside one far away
LONGER_TIMES = 1.12  # times the shortest way to join all slices; in volumes of any kind 1.05
# Median distance along that, of slices of length 1: a correlation of 0.5; noise alone has 1.4.
JOINED_DISTANCE = 1.0
TURNED_DEGREES = 8.0  # against the other scans, from which a body is told as turned
MOST_TURNED_DEGREES = 90.0  # degrees, beyond which a body that is nearly round fits by chance
ALIKE_CORRELATION = 0.85  # correlation of shapes, from which an angle is believed
GAIN_CORRELATION = 0.1  # in correlation, by turning
# Of the widest row of a slice: where narrower ones end depends on how a modality shows the skin.
WIDE_SHARE = 0.6
LEAST_ROWS = 100  # rows of all slices that both modalities show
# Of the lines of two modalities, whatever its sign, from which it tells which way they lie.
CLEAR_CORRELATION = 0.5
CLEAR_SCANS_SHARE = 0.8  # of the scans, in which it must


def odd_order(
    scans: Sequence[Scan], modalities: Sequence[str], slices: Sequence[NDArray[np.float32]]
) -> Iterator[Odd]:
    """A sentence on the scans of each modality whose slices belong beside others than they lie beside.

    slices: (C, Z, 16, 16) of each scan, each of length 1, what data_prep.oddities.twins.reduced gave.
    """
    for at, modality in enumerate(modalities):
        chosen = [
            scan
            for scan, each in zip(scans, slices, strict=True)
            if _disordered(_seen(scan, modality, each[at]))
        ]
        yield from of_some(
            scans,
            chosen,
            f"the slices of {modality} do not follow one another: they are more like others far away than like their "
            "neighbours; were they sorted by name, or in the order in which they were acquired?",
            files=(modality,),
            shown_in=modality,
        )


def _seen(scan: Scan, modality: str, slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """(Z, 16, 16) -> (Z, 256), without those that the modality does not show: beside black ones they are half black."""
    return np.delete(slices.reshape(len(slices), -1), sorted(scan.unseen([modality])), axis=0)


def _disordered(slices: NDArray[np.float32]) -> bool:
    """Whether the way from slice to slice (Z, 256) is longer than the shortest tree that joins them, which has far
    jumps then."""
    shown = slices[slices.any(axis=1)].astype(np.float64)
    if len(shown) < LEAST_SLICES:
        return False
    # Not 0, which would be no connection.
    apart = np.sqrt(np.maximum(2 - 2 * shown @ shown.T, 1e-9))
    tree = minimum_spanning_tree(apart).tocoo()
    far = np.abs(tree.row - tree.col) > FAR_SLICES
    way = float(np.diag(apart, 1).sum())
    if far.sum() < MANY_SLICES or _mirrored((tree.row + tree.col)[far]):
        return False
    return way >= LONGER_TIMES * float(tree.data.sum()) and float(np.median(tree.data)) <= JOINED_DISTANCE


def _mirrored(sums: NDArray[np.int32]) -> bool:
    """Whether many pairs of slices, given by the sums of their positions, lie around one and the same slice."""
    return bool((np.abs(sums - np.median(sums)) <= 1).mean() >= SYMMETRIC_SHARE)


BothBodies = tuple[Scan, BodyFacts, BodyFacts]  # a scan, with the body of a modality and that of the grid's


def odd_turned(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """A sentence on each scan whose bodies are turned against one another by more than most scans' are."""
    turns = [_turn(one, two) for _, one, two in both]
    known = [turn for turn in turns if turn is not None]
    if len(known) < LEAST_SCANS:
        return
    usual = median(known)
    most = limit([turn - usual for turn in known], TURNED_DEGREES)
    for (scan, _, _), turn in zip(both, turns, strict=True):
        if turn is not None and abs(turn - usual) > most:
            yield Odd(
                scan.scan_id,
                f"{modality} shows the body turned by {abs(turn - usual):.0f} degrees in the plane of the slices "
                f"against {reference}: does its header place it rightly?",
                files=(modality,),
            )


def _turn(one: BodyFacts, two: BodyFacts) -> float | None:
    """Degrees by which one body is turned against the other; None where they are too unlike to say."""
    shapes = [_unit(np.array(each["radii"])) for each in (one, two)]
    alike = np.fft.irfft(np.fft.rfft(shapes[0]) * np.conj(np.fft.rfft(shapes[1])), len(shapes[0]))
    best = int(np.argmax(alike))
    turn = (360 * best / len(alike) + 180) % 360 - 180
    if alike[best] < ALIKE_CORRELATION or abs(turn) > MOST_TURNED_DEGREES:
        return None
    return turn if alike[best] - alike[0] >= GAIN_CORRELATION else 0.0


def _unit(radii: Floats) -> Floats:
    centred: Floats = radii - radii.mean()
    length = float(np.sqrt((centred**2).sum()))
    return centred / length if length > 0 else centred


def midlines(images: Images) -> NDArray[np.float32]:
    """(Z, C, H, W) -> (C, Z, H) float32: in each row of each slice, the column midway between both sides of the skin;
    NaN where the body is narrow, or not shown."""
    return np.stack([_midline(largest_filled(body(smoothed(image)))) for image in images.swapaxes(0, 1)])


def _midline(shown: Bools) -> NDArray[np.float32]:
    """shown: (Z, H, W), the body without holes."""
    first = shown.argmax(axis=2)
    last = shown.shape[2] - 1 - shown[:, :, ::-1].argmax(axis=2)
    width = np.where(shown.any(axis=2), last - first + 1, 0)
    wide = width > WIDE_SHARE * width.max(axis=1, keepdims=True)
    found: NDArray[np.float32] = np.where(wide, (first + last) / 2, np.nan).astype(np.float32)
    return found


def odd_mirrored(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    lines: Sequence[NDArray[np.float32]],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """A sentence on the scans in which a modality and that of the grid are mirror images of one another.

    lines: (C, Z, H) of each scan, what `midlines` gave. known: scans with a modality that look otherwise for a reason
    that is told. Nothing is said of a cohort whose scans do not show clearly which way they lie.
    """
    reference = scans[0].placement["reference"]
    of = list(modalities).index(reference)
    for at, modality in enumerate(modalities):
        alike = np.array([_correlation(each[at], each[of]) for each in lines])
        clear = np.abs(alike) >= CLEAR_CORRELATION
        if at == of or len(scans) < LEAST_SCANS or clear.mean() < CLEAR_SCANS_SHARE:
            continue
        chosen = [
            scan
            for scan, each in zip(scans, alike, strict=True)
            if each <= -CLEAR_CORRELATION
            and not any((scan.scan_id, name) in known for name in (modality, reference))
        ]
        text = (
            f"{modality} and {reference} are mirror images of one another from left to right: where the skin is uneven "
            "to the left on one of them, it is so to the right on the other. Which of both is mirrored is not seen: "
            "does a header say wrongly which way its axis runs (in NIfTI, a lost qfac)?"
        )
        yield from of_some(scans, chosen, text, files=(modality, reference), shown_in=modality)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two lines (Z, H), where both are known; 0 where that is too little."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < LEAST_ROWS or min(np.ptp(one[both]), np.ptp(other[both])) == 0:
        return 0.0
    return float(np.corrcoef(one[both], other[both])[0, 1])
