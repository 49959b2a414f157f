"""Finds what separates scans with lesion from those without by values outside of the lesions: a model could learn it.

Scanners, reconstructions and exports differ between hospitals, and patients with and without lesion often come from
different ones. The lesion and its surroundings are left out, so that the disease itself does not count.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Literal

import numpy as np
from scipy import stats

from data_prep.oddities.bodies import body_of
from data_prep.oddities.numbers import air_height
from data_prep.oddities.oddity import LEAST_SCANS, Odd, grouped, of_cohort
from data_prep.oddities.scales import above_lowest, brightness
from hnscc.cohort.store_format import Scan

MOSTLY_AREA = 0.85  # area under the ROC curve from which on a property separates
CHANCE_PROBABILITY = 0.001  # of the exact rank test: about twenty properties of each modality are tested
# The least difference between medians: as a logarithm (11 %), and as a share of the range.
LEAST_LOGARITHM, LEAST_RANGE_SHARE = 0.1, 0.01
LEAST_WIDTH_LOGARITHM, LEAST_MOVE_MM, LEAST_TURN_DEGREES = 0.04, 5.0, 5.0  # as a logarithm; mm; degrees
ROUND_SHARE = 0.005  # of the mean radius: a body that is nearer to a circle has no longer axis
# If scans are too few for the test: the gap between two groups that are exactly those with and without lesion.
CLEAR_GAP = 0.4


@dataclass(frozen=True)
class Property:
    """A property that is compared, by its name in a sentence.

    `of` returns it for a modality of a scan, or None where it has none; logarithms of ratios are shown as ratios.
    least: the least difference between the medians that counts. of_body: whether it is about where the body lies, or
    where it is bright, and not about how bright it is.
    """

    name: str
    of: Callable[[Scan, str], float | None]
    logarithm: bool
    least: float = LEAST_LOGARITHM
    of_body: bool = False


def separating(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on each property of a modality that mostly separates scans with lesion from those without."""
    told = {each: odd for each in PROPERTIES if (odd := separates(scans, modality, each))}
    yield from told.values()
    if not told.keys() & {BRIGHTNESS, SPREAD} and (odd := separates(scans, modality, MIDDLE)):
        yield odd


def separates(scans: Sequence[Scan], modality: str, what: Property) -> Odd | None:
    """Return a sentence on the cohort if a property of a modality separates scans with lesion from those without;
    or None."""
    values = [(what.of(scan, modality), scan.has_lesion) for scan in scans]
    with_ = [value for value, lesion in values if lesion and value is not None]
    without = [value for value, lesion in values if not lesion and value is not None]
    if not (
        with_ and without and len(with_) + len(without) >= LEAST_SCANS and _separated(with_, without, what)
    ):
        return None
    where = "" if what.of_body else " outside of the lesions"
    typical = [exp(median(side)) if what.logarithm else median(side) for side in (with_, without)]
    return of_cohort(
        f"the {what.name} of {modality}{where} separates scans with lesion from those without: "
        f"{typical[0]:.3g} in the {len(with_)} with, {typical[1]:.3g} in the {len(without)} without (area under "
        f"the curve {_area(with_, without):.2f}): a model could tell them apart by it",
    )


def _separated(with_: Sequence[float], without: Sequence[float], what: Property) -> bool:
    area, apart = _area(with_, without), abs(median(with_) - median(without))
    if apart < what.least or max(area, 1 - area) < MOSTLY_AREA:
        return False
    counts = sorted(map(len, grouped([*with_, *without], CLEAR_GAP)))
    # Bodies lie anywhere, so in a few scans all those with lesion may lie apart by chance.
    if not what.of_body and area in (0.0, 1.0) and counts == sorted((len(with_), len(without))):
        return True
    return float(stats.mannwhitneyu(with_, without, method="exact").pvalue) < CHANCE_PROBABILITY


def _area(with_: Sequence[float], without: Sequence[float]) -> float:
    """Return the share of pairs, of a scan with lesion and one without, in which the first is larger; ties
    count half."""
    apart = np.subtract.outer(with_, without)
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def _brightness(scan: Scan, modality: str) -> float | None:
    bright = brightness(scan, modality)
    return log(bright) if bright > 0 else None


def _middle(scan: Scan, modality: str) -> float | None:
    middle = above_lowest(scan.placement["values"][modality], "median")
    return log(middle) if middle > 0 else None


def _relative(name: str) -> Callable[[Scan, str], float | None]:
    """Return what computes the logarithm of a number of the tissue as a share of its brightness."""

    def of(scan: Scan, modality: str) -> float | None:
        facts = scan.placement["values"][modality]
        bright = brightness(scan, modality)
        if facts["tissue"] is None or bright <= 0:
            return None
        number = facts["tissue"][name] - (0 if name == "grain" else facts["first"])
        return log(max(number / bright, 1e-6))

    return of


def _signal(name: Literal["step", "values", "cut"], least: float) -> Callable[[Scan, str], float | None]:
    """Return what computes the logarithm of a number on how values were processed (data_prep.placing.numbers); a number
    below `least` counts as `least`."""

    def of(scan: Scan, modality: str) -> float | None:
        number = scan.placement["values"][modality]["signal"][name]
        return None if number is None else log(max(number, least))

    return of


def _level(scan: Scan, modality: str) -> float | None:
    bright = brightness(scan, modality)
    return float(scan.placement["values"][modality]["first"]) / bright if bright > 0 else None


def _place(side: Literal["back", "left"]) -> Callable[[Scan, str], float | None]:
    """Return what computes where the centre of the body lies, in mm from the middle of the slices."""

    def of(scan: Scan, modality: str) -> float | None:
        found = body_of(scan, modality)
        return found[side] if found else None

    return of


def _radius(scan: Scan, modality: str) -> float | None:
    found = body_of(scan, modality)
    return log(max(float(np.mean(found["radii"])), 1.0)) if found else None


def _turn(scan: Scan, modality: str) -> float | None:
    """Return how far the body is turned, by its longer or shorter axis, -45 to 45 degrees; None where it is round."""
    found = body_of(scan, modality)
    if not found:
        return None
    harmonics = np.fft.rfft(found["radii"])
    if abs(harmonics[2]) <= ROUND_SHARE * abs(harmonics[0]):
        return None
    return float(np.degrees(np.arcsin(harmonics[2].imag / abs(harmonics[2])))) / 2


BRIGHTNESS = Property("brightness", _brightness, True)
SPREAD = Property("median (beside the brightness)", _relative("median"), True)
# What remains of a factor where hot organs differ more than ordinary tissue; tested if neither of these separates.
MIDDLE = Property("median value", _middle, True)
PROPERTIES = (
    BRIGHTNESS,
    Property("lowest value (beside the brightness)", _level, False, LEAST_RANGE_SHARE),
    Property("height of air and rim", air_height, False, LEAST_RANGE_SHARE),
    SPREAD,
    Property("highest value (beside the brightness)", _relative("high"), True),
    Property("grain (beside the brightness)", _relative("grain"), True),
    Property("step from voxel to voxel (beside that of three)", _signal("step", 1e-6), True),
    Property("number of different values (of 20,000 voxels)", _signal("values", 1), True),
    Property("share of voxels with the highest value", _signal("cut", 1e-5), True),
    Property("mean radius in mm of the body", _radius, True, LEAST_WIDTH_LOGARITHM, True),
    Property("place in mm, from front to back, of the body", _place("back"), False, LEAST_MOVE_MM, True),
    Property("place in mm, from right to left, of the body", _place("left"), False, LEAST_MOVE_MM, True),
    Property("turn in degrees of the body", _turn, False, LEAST_TURN_DEGREES, True),
)
