"""Compares fields of view in mm with what a body can be and with other scans: lengths in cm or m, other voxels."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from data_prep.oddities.oddity import LEAST_SCANS, SD_BY_MEDIAN, Odd, of_some
from hnscc.base.arrays import Floats, Integers, Spacing
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

# In mm: no scanner makes voxels with shorter or longer sides.
SMALLEST_MM, LARGEST_MM = 0.02, 20.0
SHORTEST_MM, LONGEST_MM = 2.0, 2500.0  # mm: the longest side of a volume lies between
SMALL_MM, FINE_MM = 60.0, 1.0  # mm: a smaller volume of finer voxels is more likely one in cm
TENFOLD_TIMES = 5.0  # times, for voxels and extent alike: lengths are then not in mm
ODD_LENGTH_TIMES = 1.9  # times the cohort's median
ODD_LENGTH_SDS = 4.0  # robust standard deviations of the logarithm, besides
OTHER_VOXELS_TIMES = 1.3  # times in some direction, with the same number of voxels
# With the same number of voxels: times that slices alone are thicker or thinner, or pixels longer one way than the
# other. Another field of view changes pixels both ways, and most protocols keep their slices.
OTHER_SLICES_TIMES, UNEVEN_TIMES, EVEN_TIMES = 1.1, 1.05, 1.02
SKEWED_DEGREES = 0.5  # degrees
# Of a voxel's size, with the same number of voxels: up to the first a header rounds; from the second on grids differ.
ROUNDED_SHARE, OTHER_GRID_SHARE = 0.002, 0.05
ABSENT_SHARE = 0.1  # of the grid, beyond what most scans lack

DIRECTIONS = ("left to right", "front to back", "foot to head")


def odd_fields(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on each modality of a scan whose voxels or extent are impossible, or differ from those of
    most scans.

    It is refused where they are impossible, and where voxels and extent are both five times larger or smaller than in
    most scans: the header's lengths are then not in mm, whatever it says. Parts without an image, beyond what most
    scans lack, are reported too.
    """
    for modality in modalities:
        steps = np.array([scan.placement["inputs"][modality]["spacing"] for scan in scans])
        shapes = np.array([scan.placement["inputs"][modality]["shape"] for scan in scans])
        for at, scan in enumerate(scans):
            found = _impossible(steps[at], shapes[at]) or _other_unit(at, steps, shapes)
            if found:
                yield Odd(scan.scan_id, f"{modality} {found}", files=(modality,), refused=True)
            elif found := _small(steps[at], shapes[at]) or _unlike(at, steps, shapes):
                yield Odd(scan.scan_id, f"{modality} {found}", files=(modality,))
        yield from _parts_absent(scans, modality)
        yield from _skewed(scans, modality)
    for scan in scans:
        yield from _nearly_alike(scan, modalities)
    for one, two in combinations(modalities, 2):
        yield from _other_slices(scans, one, two)


def spellings(scans: Sequence[Scan]) -> Iterator[Odd]:
    """Yield a sentence on Analyze headers that hold an orientation of their own, which is not used."""
    for scan in scans:
        for name, facts in scan.placement["inputs"].items():
            if orient := facts["written"].get("orient"):
                yield Odd(
                    scan.scan_id,
                    f"the Analyze header of the {name} says hist.orient {orient}, which is not used, since few "
                    "programs write it truly: look whether the scan lies right, or convert it to NIfTI",
                    files=(name,),
                )


def _nearly_alike(scan: Scan, modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on modalities with equally many voxels of slightly different sizes, as if a header
    was mistyped."""
    for one, two in combinations(modalities, 2):
        inputs = [scan.placement["inputs"][each] for each in (one, two)]
        if inputs[0]["shape"] != inputs[1]["shape"]:
            continue
        apart = float(np.abs(np.log(np.divide(inputs[0]["spacing"], inputs[1]["spacing"]))).max())
        if ROUNDED_SHARE < apart < OTHER_GRID_SHARE:
            sizes = " and ".join(" x ".join(f"{step:.5g}" for step in each["spacing"]) for each in inputs)
            yield Odd(
                scan.scan_id,
                f"{one} and {two} have as many voxels, of sizes that differ by {apart:.1%} ({sizes} mm): "
                "is one of the headers wrong?",
                files=(one, two),
            )


def _other_slices(scans: Sequence[Scan], one: str, two: str) -> Iterator[Odd]:
    """Yield a sentence on modalities of which one has fewer slices, though they have equally many voxels in
    most scans."""
    shapes = [[scan.placement["inputs"][each]["shape"] for each in (one, two)] for scan in scans]
    if 2 * sum(first == second for first, second in shapes) <= len(scans):
        return
    for scan, (first, second) in zip(scans, shapes, strict=True):
        if first[:2] == second[:2] and first[2] != second[2]:
            yield Odd(
                scan.scan_id,
                f"{one} has {count_of(first[2], 'slice')} and {two} {second[2]}, in most scans as many as one "
                "another: is one missing?",
                files=(one, two),
            )


def _impossible(steps: Floats, shape: Floats | Integers) -> str:
    """Return a sentence on voxels or an extent that no body has, or "". steps: (3,) in mm; shape: (3,) in voxels."""
    longest = (steps * shape).max()
    if steps.max() < SMALLEST_MM or longest < SHORTEST_MM or steps.min() > LARGEST_MM or longest > LONGEST_MM:
        return f"has {_size(steps, shape)}, which no scan of a body has: are its lengths in mm?"
    return ""


def _other_unit(at: int, steps: Floats, shapes: Floats | Integers) -> str:
    """Return a sentence where voxels and extent are five times those of most scans, or a fifth; else "".

    steps, in mm, and shapes, in voxels: (scans, 3), of every scan. at: the position of the one that is judged.
    """
    others = np.arange(len(steps)) != at
    if others.sum() < 2:
        return ""
    voxel, extent = np.log(steps).mean(axis=1), np.log(steps * shapes).mean(axis=1)
    times = [float(np.exp(each[at] - np.median(each[others]))) for each in (voxel, extent)]
    if min(times) >= TENFOLD_TIMES or max(times) <= 1 / TENFOLD_TIMES:
        usual = _size(np.median(steps[others], axis=0), np.median(shapes[others], axis=0))
        return f"has {_size(steps[at], shapes[at])}, most scans {usual}: are its lengths in mm, as theirs?"
    return ""


def other_lengths(own: Spacing, of_study: Sequence[Spacing]) -> Iterator[str]:
    """Yield a sentence where a new scan's stored voxels are five times as long as those of the study's scans,
    or a fifth, in every direction. own, of_study: in mm along z, y and x; no sentence where nothing is known of
    the study's."""
    if not of_study:
        return
    usual = np.median(np.array(of_study), axis=0)
    times = np.array(own) / usual
    if times.min() >= TENFOLD_TIMES or times.max() <= 1 / TENFOLD_TIMES:
        yield (
            f"beside the study's scans, its slices have pixels and distances of {_product(np.array(own)[::-1])} mm, "
            f"theirs of {_product(usual[::-1])} mm: are its lengths in mm, as theirs? Sizes in ml follow them"
        )


def _small(steps: Floats, shape: Floats | Integers) -> str:
    """Return a sentence on voxels and an extent that are small for a body, or "". steps: (3,) in mm; shape: (3,)
    in voxels."""
    if (steps * shape).max() < SMALL_MM and steps.max() < FINE_MM:
        return f"has {_size(steps, shape)}, which is small for a body: are its lengths in mm, not cm?"
    return ""


def _unlike(at: int, steps: Floats, shapes: Floats | Integers) -> str:
    """Return a sentence where voxels or extent differ from those of most scans; else "".

    steps, in mm, and shapes, in voxels: (scans, 3), of every scan. at: the position of the one that is judged.
    """
    if len(steps) < LEAST_SCANS:
        return ""
    kinds = Counter((*map(int, shape), *np.round(step, 3)) for shape, step in zip(shapes, steps, strict=True))
    most, count = kinds.most_common(1)[0]
    ratio = steps[at] / np.array(most[3:])
    alike = 2 * count > len(steps) and tuple(shapes[at]) == most[:3]
    if alike and (max(ratio.max(), 1 / ratio.min()) > OTHER_VOXELS_TIMES or _uneven(ratio)):
        usual = _product(np.array(most[3:]))
        return f"has as many voxels as most scans, but of {_product(steps[at])} mm, not {usual}: is their size right?"
    told = []
    for name, lengths in (("voxels", steps), ("an extent", steps * shapes)):
        logs = np.log(lengths / np.median(lengths, axis=0))
        limit = np.maximum(
            np.log(ODD_LENGTH_TIMES), ODD_LENGTH_SDS * SD_BY_MEDIAN * np.median(np.abs(logs), axis=0)
        )
        told += [
            f"{name} of {lengths[at, axis]:.3g} mm from {DIRECTIONS[axis]}, in most scans "
            f"{np.median(lengths[:, axis]):.3g}"
            for axis in np.flatnonzero(np.abs(logs[at]) > limit)
        ]
    return f"has {'; '.join(told)}" if told else ""


def _uneven(ratio: Floats) -> bool:
    """Return whether voxels are larger or smaller than most scans' in one direction (x, y, z) alone, unlike for another
    field of view."""
    x, y, z = (max(float(each), 1 / float(each)) for each in ratio)
    pixels = ratio[0] / ratio[1]
    return max(pixels, 1 / pixels) > UNEVEN_TIMES or (max(x, y) < EVEN_TIMES and z > OTHER_SLICES_TIMES)


def _skewed(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    skewed = [scan for scan in scans if scan.placement["inputs"][modality]["skew"] > SKEWED_DEGREES]
    text = (
        f"the axes of {modality} do not stand at right angles in its header, as a tilted gantry or an affine "
        "registration leaves them; it is laid on the grid as that says: is it right?"
    )
    yield from of_some(scans, skewed, text, files=(modality,))


def _parts_absent(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    shares = np.array([scan.placement["absent"][modality] for scan in scans])
    usual = float(np.median(shares))
    for scan, share in zip(scans, shares, strict=True):
        if share > usual + ABSENT_SHARE:
            yield Odd(
                scan.scan_id,
                f"{modality} shows nothing in {share:.0%} of most slices, which is of one value up to a straight line "
                f"({usual:.0%} in most scans)",
                files=(modality,),
                refused=True,
                shown=((scan.scan_id, modality),),
            )


def _size(steps: Floats, shape: Floats | Integers) -> str:
    """Return a grid in words. steps: (3,) in mm; shape: (3,) in voxels."""
    return f"voxels of {_product(steps)} mm, {_product(steps * shape)} mm in all"


def _product(values: Floats) -> str:
    """Return lengths (3,), in mm, in words."""
    return " x ".join(f"{value:.3g}" for value in values)
