"""Finds modalities that show the body turned against that of the grid's modality, in the plane of the slices."""

from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from data_prep.oddities.oddity import LEAST_SCANS, Odd, limit
from hnscc.base.arrays import Floats
from hnscc.cohort.placement import BodyFacts
from hnscc.cohort.store_format import Scan

TURNED_DEGREES = 8.0  # compared with other scans: a larger angle is reported
MOST_TURNED_DEGREES = 90.0  # degrees: beyond, a body that is nearly round fits by chance
ALIKE_CORRELATION = 0.85  # the least correlation of shapes at which an angle is believed
GAIN_CORRELATION = 0.1  # the least gain in correlation by turning

BothBodies = tuple[Scan, BodyFacts, BodyFacts]  # a scan, with its body in a modality and in the grid's


def odd_turned(both: Sequence[BothBodies], modality: str, reference: str) -> Iterator[Odd]:
    """Yield a sentence on each scan whose bodies are turned against one another by more than in most scans."""
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
    """Return by how many degrees one body is turned against the other; None where they are too unlike to say."""
    shapes = [_unit(np.array(each["radii"])) for each in (one, two)]
    alike = np.fft.irfft(np.fft.rfft(shapes[0]) * np.conj(np.fft.rfft(shapes[1])), len(shapes[0]))
    best = int(np.argmax(alike))
    turn = (360 * best / len(alike) + 180) % 360 - 180
    if alike[best] < ALIKE_CORRELATION or abs(turn) > MOST_TURNED_DEGREES:
        return None
    return turn if alike[best] - alike[0] >= GAIN_CORRELATION else 0.0


def _unit(radii: Floats) -> Floats:
    """Return radii (directions,) in mm, less their mean, divided by their length: (directions,); zeros where all
    are equal."""
    centred: Floats = radii - radii.mean()
    length = float(np.sqrt((centred**2).sum()))
    return centred / length if length > 0 else centred
