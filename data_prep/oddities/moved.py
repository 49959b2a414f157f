"""The same images under two patients, turned, flipped, shifted, cropped or on other pixels: found by content.

Of each scan the mean of its slices is kept, as a small square. Squares are compared over the eight symmetries of the
plane and all shifts; the slices of those pairs that agree best are then laid on one another and compared themselves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.oddities.twins import Read, Twins
from data_prep.volumes.resize import Window, area_weights, resize_image, weigh

SIDE = 64  # pixels of a kept square
SMALL = 32  # pixels of a compared one
BLUR = 2.0  # pixels of a compared square: what is smoother, such as the outline of every head, is taken away
CANDIDATE = 0.6  # correlation of compared squares, at the best shift
PARTNERS = 2  # candidates of a scan that are looked at
SLICES = 7  # of a pair that are compared
KEPT_READ = 8  # scans whose images are kept until the next pair
MOVED = 0.96  # correlation of slices; those of different heads, at their best, have 0.94 and less
SHARP = 0.45  # agreement, -1 to 1, on which pixels are brighter than those around: like outlines have less
EDGE = 3.0  # times the median of sharpened pixels: more is an edge
OTHER_SCALE = 0.02  # difference of pixels in size from which both are tried: mm by mm, and pixel by pixel


@dataclass(frozen=True)
class Move:
    """How slices are laid on another scan's: turned by quarters, then flipped, each pixel `scale` of its own."""

    quarters: int
    flip: bool
    scale: float


def projections(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(Z, C, H, W) -> (C, 64, 64): the mean of all slices, in area means."""
    size = images.shape[-1]
    weights = area_weights(SIDE, size, size / SIDE, 0.0)
    means = images.mean(axis=0, dtype=np.float64)
    return np.array([weigh(channel, weights, weights) for channel in means], dtype=np.float32)


def find_moved(
    kept: Sequence[NDArray[np.float32]],
    pixel_mm: Sequence[float],
    asked: Callable[[int, int], bool],
    read: Read,
) -> list[Twins]:
    """Every pair of scans for which `asked` says so whose images of a modality are the same once one is moved.

    kept: what `projections` gave of each scan. pixel_mm: size of its stored pixels. read: its stored images by its
    position. Slices that correlate by more than `MOVED` count, in most of those that are compared.
    """
    found: dict[tuple[int, int, int], float] = {}
    read = lru_cache(maxsize=KEPT_READ)(read)
    for modality in range(len(kept[0]) if len(kept) > 1 else 0):
        squares = np.stack([each[modality] for each in kept]).astype(np.float64)
        for first, second, move in _candidates(squares, np.asarray(pixel_mm), asked):
            one, other = (read(at)[:, modality] for at in (first, second))
            alike = _compared(one, _laid(other, move))
            key = (first, second, modality)
            if alike > max(MOVED, found.get(key, 0.0)):
                found[key] = alike
    pairs = [Twins(*key, correlation) for key, correlation in found.items()]
    return sorted(pairs, key=lambda twins: (twins.second, twins.first, twins.modality))


def _candidates(
    squares: NDArray[np.float64], pixel_mm: NDArray[np.float64], asked: Callable[[int, int], bool]
) -> Iterator[tuple[int, int, Move]]:
    """The best partners of each scan, with the move that brings the second onto the first."""
    sizes = [np.ones(len(squares))]
    if np.ptp(pixel_mm) > OTHER_SCALE * pixel_mm.min():
        sizes.append(pixel_mm / np.median(pixel_mm))
    best: dict[tuple[int, int], tuple[float, Move]] = {}
    for scales in sizes:
        small = np.stack([_small(square, scale) for square, scale in zip(squares, scales, strict=True)])
        seen = np.conj(np.fft.rfft2(small))
        for quarters in range(4):
            for flip in (False, True):
                waves = np.fft.rfft2(np.stack([_turned(each, quarters, flip) for each in small]))
                for first in range(len(small) - 1):
                    shifted = np.fft.irfft2(seen[first] * waves[first + 1 :], s=(SMALL, SMALL))
                    peaks = shifted.max(axis=(1, 2))
                    for behind in np.flatnonzero(peaks > CANDIDATE):
                        second = first + 1 + int(behind)
                        peak = float(peaks[behind])
                        if (first, second) not in best or peak > best[first, second][0]:
                            move = Move(quarters, flip, float(scales[first] / scales[second]))
                            best[first, second] = peak, move
    taken: dict[int, int] = {}
    for (first, second), (_, move) in sorted(best.items(), key=lambda item: -item[1][0]):
        if asked(first, second) and min(taken.get(first, 0), taken.get(second, 0)) < PARTNERS:
            for each in (first, second):
                taken[each] = taken.get(each, 0) + 1
            yield first, second, move


def _small(square: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """(64, 64) -> (32, 32) on pixels of another scale, without what is smooth; of length 1, or zeros."""
    step = SIDE / SMALL / scale
    means = resize_image(
        square, Window(SMALL, (step, step), ((SIDE - SMALL * step) / 2,) * 2), float(square.min())
    )
    return _unit(_sharp(means.astype(np.float64)))


def _sharp(image: NDArray[np.float64]) -> NDArray[np.float64]:
    sharp: NDArray[np.float64] = image - ndimage.gaussian_filter(image, BLUR)
    return sharp


def _unit(image: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = image - image.mean()
    length = float(np.linalg.norm(centred))
    return (
        centred / length if length > 1e-6 * np.abs(image).max() * image.size**0.5 else np.zeros_like(centred)
    )


def _turned(image: NDArray[np.floating], quarters: int, flip: bool) -> NDArray[np.floating]:
    turned = np.rot90(image, quarters, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned


def _laid(slices: NDArray[np.float32], move: Move) -> NDArray[np.float32]:
    """(Z, H, W) turned, flipped and on pixels of the other scan's size."""
    turned = np.ascontiguousarray(_turned(slices, move.quarters, move.flip))
    if abs(move.scale - 1) < OTHER_SCALE / 2:
        return turned
    size = turned.shape[-1]
    window = Window(size, (move.scale,) * 2, ((size - size * move.scale) / 2,) * 2)
    return np.stack([resize_image(each, window, float(turned.min())) for each in turned])


def _compared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The correlation of most of the slices compared, each with its best, at the shift that most of them have."""
    pairs = _matched(one, other)
    if not pairs:
        return 0.0
    shifts = np.array([_shift(one[z1], other[z2]) for z1, z2 in pairs])
    shift = np.median(shifts, axis=0)
    whole = np.rint(shift)
    if np.abs(shift - whole).max() < 0.1:
        shift = whole
    alike = np.median([_overlap(one[z1], other[z2], shift) for z1, z2 in pairs], axis=0)
    return float(alike[0]) if alike[1] > SHARP else 0.0


def _matched(one: NDArray[np.float32], other: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Slices (z of one, z of the other) that agree best, whatever their shift: at most `SLICES`."""
    waves = []
    for slices in (one, other):
        weights = area_weights(SMALL, slices.shape[-1], slices.shape[-1] / SMALL, 0.0)
        small = [_unit(_sharp(weigh(each.astype(np.float64), weights, weights))) for each in slices]
        waves.append(np.fft.rfft2(np.stack(small)))
    picked = np.unique(np.linspace(0, len(one) - 1, 3 * SLICES).round().astype(int))
    best = []
    for z1 in picked:
        peaks = np.fft.irfft2(np.conj(waves[0][z1]) * waves[1], s=(SMALL, SMALL)).max(axis=(1, 2))
        best.append((float(peaks.max()), int(z1), int(peaks.argmax())))
    return [(z1, z2) for peak, z1, z2 in sorted(best, reverse=True)[:SLICES] if peak > CANDIDATE]


def _shift(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """(y, x) in pixels, by which the other must be shifted to lie on the one: a parabola through the best shifts."""
    a, b = (np.fft.rfft2(_unit(_sharp(each.astype(np.float64)))) for each in (one, other))
    peaks = np.fft.irfft2(a * np.conj(b), s=one.shape)
    at = np.unravel_index(int(peaks.argmax()), peaks.shape)
    found = []
    for axis, position in enumerate(at):
        line = np.take(peaks, at[1 - axis], axis=1 - axis)
        low, mid, high = (line[(position + step) % len(line)] for step in (-1, 0, 1))
        bend = low - 2 * mid + high
        part = 0.5 * (low - high) / bend if bend else 0.0
        wrapped = (position + len(line) // 2) % len(line) - len(line) // 2
        found.append(wrapped + part)
    return np.array(found)


def _overlap(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: NDArray[np.float64]
) -> tuple[float, float]:
    """The correlation, and the agreement on which pixels are brighter than their surroundings, where both show
    something: not in lines that are of one value, nor in what shifting lacks."""
    moved = ndimage.shift(
        other.astype(np.float64), shift, order=3 if (shift % 1).any() else 0, mode="nearest"
    )
    valid = np.ones(one.shape, dtype=bool)
    for axis, step in enumerate(shift):
        lost = int(np.ceil(abs(step)))
        if lost:
            ends = [slice(None), slice(None)]
            ends[axis] = slice(None, lost) if step > 0 else slice(-lost, None)
            valid[tuple(ends)] = False
    for image in (one, moved):
        valid &= (np.ptp(image, axis=1) > 0)[:, None] & (np.ptp(image, axis=0) > 0)[None]
    if valid.sum() < valid.size / 4:
        return 0.0, 0.0
    images = [one.astype(np.float64), moved]
    a, b = (_unit(image[valid]) for image in images)
    return float((a * b).sum()), _agreement(*(_sharp(image)[valid] for image in images))


def _agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How far two sharpened images agree on what is brighter than around, leaving out strong edges: all heads have
    those in common."""
    quiet = np.ones(one.shape, dtype=bool)
    for image in (one, other):
        quiet &= np.abs(image) <= EDGE * np.median(np.abs(image[image != 0])) if image.any() else False
    return float(np.mean(np.sign(one[quiet]) * np.sign(other[quiet]))) if quiet.any() else 0.0
