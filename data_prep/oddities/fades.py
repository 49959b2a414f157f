"""Finds scans of which a modality fades from one end of the body to the other, compared with the cohort's mean image.

It also finds smooth fields over the images by which a model could tell scans with lesion from those without. What a
scan shows at each place is divided by what most scans show there. A plane through the logarithms says how it fades
along slices, rows and columns, and a further term how it fades towards the rim. Only this modality counts, so that no
other is blamed whose body ends elsewhere because of it.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.oddities.oddity import LEAST_SCANS, Odd, limit, robust_sd
from data_prep.oddities.orientation import deep
from data_prep.oddities.scales import brightness
from data_prep.oddities.separating import Property, separates
from data_prep.placing.edges import SIDES
from hnscc.base.arrays import Bools, Floats
from hnscc.cohort.store_format import Scan

# Of the brightness of a scan's tissue: what is brighter is body; what is darker than the second counts as that.
BODY_SHARE, LEAST_SHARE = 0.05, 0.01
COMMON_SHARE = 0.75  # of the scans: places are compared where so many show the body
# A place must have such neighbours: at the skin, a body that lies elsewhere is dark too.
INNER = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
LEAST_PLACES = 100  # places, of 16 x 16 x 16
# Levels of the mean image: brighter tissue of a scan is not taken for a field that is brighter there.
BRIGHTNESS_LEVELS = 8
# Rounds of fitting; robust standard deviations from the plane beyond which a place does not count.
ROUNDS, FAR_SDS = 6, 2.0
# Times from one end of the body to the other; and robust standard deviations, fewer where the plane explains so much of
# the differences. Nothing is said along an axis where scans differ by more than `UNLIKE_LOGARITHM`. Of 434 made-up
# heads none differs by more than 4.2 deviations, and no plane explains more than 0.65.
FADED_TIMES, FADED_SDS, UNLIKE_LOGARITHM = 1.5, 5.0, 0.3
CLEARLY_SDS, EXPLAINED_SHARE = 3.5, 0.7
# Ways in which brightness may change over a body; the distance between the places of its ends; and the least difference
# of the logarithm between the medians of scans with lesion and without. Corrections of a coil's field change 0.2 and
# more from end to end.
WAYS = (
    *((f"{bright} of the body beside its {dark}", 2.0, 0.1) for bright, dark in SIDES),
    ("rim of the body beside its middle", 1.0, 0.05),
)


@dataclass(frozen=True)
class BesideMost:
    """What scans show of a modality compared with most scans, at the places where most show the body.

    along: (places, 3), where these lie along the axes, from -1 to 1. levels: (places, levels), 1 where the mean image
    has a level of brightness. off: (n, places), the logarithm of how many times brighter a scan is there.
    """

    along: Floats
    levels: Floats
    off: Floats


@dataclass(frozen=True)
class _Fits:
    """The planes through what scans show compared with most scans.

    slopes: (n, 3), the logarithm of how many times brighter a scan is at its head, back and left end than at the
    opposite one, relative to the median scan. better: (n,), the share of the differences that the plane explains.
    """

    slopes: Floats
    better: Floats


def beside_most(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    means: Sequence[NDArray[np.float32]],
    alike: Container[str],
) -> dict[str, BesideMost]:
    """Return what scans show compared with most, by modality, for modalities with enough scans and common places.

    means: (C, Z, 16, 16) of each scan, in raw values, as returned by data_prep.oddities.twins.means_of. alike: the
    modalities in which the scans look like their mean image (data_prep.oddities.orientation.lying_of); others are
    left out.
    """
    if len(scans) < LEAST_SCANS:
        return {}
    found = {
        modality: _beside(scans, modality, np.stack([deep(each[at]) for each in means]))
        for at, modality in enumerate(modalities)
        if modality in alike
    }
    return {modality: beside for modality, beside in found.items() if beside}


def faded(
    scans: Sequence[Scan],
    besides: Mapping[str, BesideMost],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """Yield a sentence on each modality of a scan that fades along an axis of the body.

    Nothing is said where it is `known` to look otherwise for a reported reason (`Odd.shown`), such as a turn. besides:
    what `beside_most` returned for these scans.
    """
    for modality, beside in besides.items():
        fits = _fits(beside)
        for scan, slopes, far in zip(scans, fits.slopes, _beyond(fits), strict=True):
            axis = int(np.argmax(far))
            if far[axis] > 1 and (scan.scan_id, modality) not in known:
                text = _told(modality, axis, float(slopes[axis]))
                yield Odd(scan.scan_id, text, files=(modality,), shown=((scan.scan_id, modality),))


def _beyond(fits: _Fits) -> Floats:
    """Return the slopes as multiples of the outlier limit: (n, 3); 0 along axes where scans are too unlike."""
    least = float(np.log(FADED_TIMES))
    most, clearly = (
        np.array([limit(along, least, sds) for along in fits.slopes.T]) for sds in (FADED_SDS, CLEARLY_SDS)
    )
    alike = np.array([robust_sd(along) <= UNLIKE_LOGARITHM for along in fits.slopes.T])
    bounds = np.where(fits.better[:, None] >= EXPLAINED_SHARE, clearly, most)
    return np.where(alike, np.abs(fits.slopes) / bounds, 0.0)


def _told(modality: str, axis: int, slope: float) -> str:
    bright, dark = SIDES[axis] if slope > 0 else SIDES[axis][::-1]
    return (
        f"{modality} grows darker from {bright} to {dark}, beside the other scans, by {np.exp(abs(slope)):.3g} times "
        "from one end of the body to the other: does it fade, or show another part of the body? Look at the pictures"
    )


def fields_apart(scans: Sequence[Scan], besides: Mapping[str, BesideMost]) -> Iterator[Odd]:
    """Yield a sentence on each way in which the brightness changes over the body in scans with lesion but not without.

    This is what a correction of the coil's field does if it was applied to one of the two alone. besides: what
    `beside_most` returned for these scans.
    """
    for modality, beside in besides.items():
        design = np.hstack([beside.along, (beside.along[:, 1:] ** 2).sum(axis=1, keepdims=True)])
        found = np.array([_fitted(each, design, beside.levels)[0] for each in beside.off])
        for (name, ends, least), column in zip(WAYS, found.T, strict=True):
            of = _by_scan({scan.scan_id: ends * value for scan, value in zip(scans, column, strict=True)})
            name = f"brightness at the {name} (against most scans)"
            if odd := separates(scans, modality, Property(name, of, True, least, of_body=True)):
                yield odd


def _by_scan(values: Mapping[str, float]) -> Callable[[Scan, str], float]:
    return lambda scan, _: values[scan.scan_id]


def _fits(beside: BesideMost) -> _Fits:
    found = [_fitted(each, beside.along, beside.levels) for each in beside.off]
    slopes = np.array([slope for slope, _ in found])
    return _Fits(2 * (slopes - np.median(slopes, axis=0)), np.array([better for _, better in found]))


def _beside(scans: Sequence[Scan], modality: str, images: NDArray[np.float32]) -> BesideMost | None:
    """Return what scans show of a modality compared with most; None where they have too few common places.

    images: (n, 16, 16, 16), of this modality in raw values.
    """
    bright = np.array([brightness(scan, modality) for scan in scans])
    if (bright <= 0).any():
        return None
    dark = np.array([scan.placement["values"][modality]["first"] for scan in scans])
    tall = (images - dark[:, None, None, None]) / bright[:, None, None, None]
    common = ndimage.binary_erosion((tall > BODY_SHARE).mean(axis=0) >= COMMON_SHARE, INNER)
    if common.sum() < LEAST_PLACES:
        return None
    logs = np.log(np.maximum(tall[:, common], LEAST_SHARE))
    usual = np.median(logs, axis=0)
    return BesideMost(_planes(common), _levels(usual), logs - usual)


def _planes(common: Bools) -> Floats:
    """Return where each place that is `common`, bool (16, 16, 16), lies along the axes, from -1 to 1: (places, 3)."""
    places = np.argwhere(common).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    found: Floats = 2 * (places - low) / np.maximum(high - low, 1) - 1
    return found


def _levels(usual: Floats) -> Floats:
    """Return 1 where the mean image has a level of brightness, else 0: (places, levels).

    usual: (places,), the logarithms of the mean image.
    """
    bounds = np.quantile(usual, np.arange(1, BRIGHTNESS_LEVELS) / BRIGHTNESS_LEVELS)
    found: Floats = np.eye(BRIGHTNESS_LEVELS)[np.searchsorted(bounds, usual)]
    return found


def _fitted(off: Floats, along: Floats, levels: Floats) -> tuple[Floats, float]:
    """Return how steeply `off` rises with each column of `along`, (columns,), and the share of its variance that
    this explains.

    Each level of brightness has its own constant. The share is 0..1. Places that are far off, such as a lesion's, weigh
    less. off: logarithms (places,). along: (places, columns), from -1 to 1. levels: (places, levels), 0 or 1.
    """
    design = np.hstack([along, levels])
    weights = np.ones(len(off))
    for _ in range(ROUNDS):
        found = np.linalg.lstsq(design * weights[:, None], off * weights, rcond=None)[0]
        left = off - design @ found
        far = FAR_SDS * max(robust_sd(left), 1e-6)
        weights = np.maximum(1 - (left / far) ** 2, 0.0)  # the square root of Tukey's biweight
    without = off - levels @ np.linalg.lstsq(levels * weights[:, None], off * weights, rcond=None)[0]
    better = 1 - float(((weights * left) ** 2).sum() / max(((weights * without) ** 2).sum(), 1e-12))
    return found[: along.shape[1]].astype(np.float64), better
