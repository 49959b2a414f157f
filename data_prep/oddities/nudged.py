"""Finds masks that lie a voxel or two beside their lesion: one row or slice off, as where an index is counted from 1.

The shift of a mask that makes values fall most across its border is found to parts of a voxel
(data_prep.placing.edges.clearest_move). Where all masks of a cohort are drawn closely, one that is off stands apart.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.factors import LEAST_PARTED_SCANS, parted
from data_prep.oddities.oddity import MASK, Odd, limit, of_some, robust_sd
from data_prep.oddities.off_border import END, has_border
from data_prep.placing.edges import SIDES, clearest_move
from hnscc.base.arrays import Bools, Floats, Images
from hnscc.cohort.store_format import Scan

# Made-up lesions lie within 0.6 mm of where PET says, with a deviation of 0.15 to 0.3 mm; drawn ones of the public
# cohort have 2 to 5 mm.
SURE_SD_MM = 0.5  # largest robust standard deviation at which anything is said
# Scans with a border that are needed: with fewer the deviation may be small by chance. Of 200 random choices each of 5,
# 6, 7, 8, 10, 12 and 16 of the public cohort's scans 7, 10, 11, 5, 2, 0 and 0 had a scan that was reported.
LEAST_SURE_SCANS = 12
OFF_VOXELS, OFF_SDS = 0.5, 3.5  # voxels of the stored slices; robust standard deviations
# For several masks, up to half of them: the share of the variance that lies between them and the others.
EXPLAINED_SHARE = 0.8


def moves_of(images: Images, lesion: Bools, scan: Scan) -> NDArray[np.float32]:
    """Return by how many mm along z, y and x the mask of a scan must be shifted to its clearest border on each
    modality: (C, 3).

    It is NaN where a modality shows no border. images: (Z, C, H, W), in raw values. lesion: (Z, H, W).
    """
    found = []
    for image, facts in zip(images.swapaxes(0, 1), scan.placement["values"].values(), strict=True):
        bright = 0.0 if facts["tissue"] is None else facts["tissue"]["last"] - facts["first"]
        move = clearest_move(image, lesion, scan.spacing_mm, facts["first"], bright)
        found.append(np.full(3, np.nan) if move is None else np.multiply(move, scan.spacing_mm))
    return np.array(found, np.float32)


def nudged(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    moves: Sequence[NDArray[np.float32]],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """Yield a sentence on the scans whose lesion has its clearest border elsewhere, seen from the mask, than in
    other scans.

    There is one for each direction. Where most masks lie a voxel off, those that do not are reported, since most are
    taken as usual. moves: (C, 3) of each scan, in mm, as returned by `moves_of`. known: scans with a modality, or with
    a mask (oddity.MASK), about which something more likely is reported.
    """
    for at, modality in enumerate(modalities):
        shown = [
            (scan, move[at])
            for scan, move in zip(scans, moves, strict=True)
            if _shown(scan, move[at], modality)
        ]
        shown = [
            each
            for each in shown
            if not any((each[0].scan_id, name) in known for name in (*modalities, MASK))
        ]
        if len(shown) < LEAST_SURE_SCANS:
            continue
        along = np.array([move for _, move in shown], np.float64)
        least = OFF_VOXELS * np.median([scan.spacing_mm for scan, _ in shown], axis=0)
        off = np.column_stack([_off(each, float(by)) for each, by in zip(along.T, least, strict=True)])
        # A mask that is off along one axis seems off along others too, by less.
        off[np.abs(off) < np.abs(off).max(axis=1, keepdims=True)] = 0
        for axis, way in product(range(3), (0, 1)):
            chosen = off[:, axis] * (1 - 2 * way) > 0
            text = (
                f"seen from the mask, the lesion's border on {modality} is clearest "
                f"{_median(np.abs(off[chosen, axis])):.1f} mm farther to the {SIDES[axis][way]} than in the other "
                f"scans: is the mask a voxel off, or is {modality}?"
            )
            moved = [scan for (scan, _), each in zip(shown, chosen, strict=True) if each]
            yield from of_some(scans, moved, text, files=(MASK, modality), shown_in=END)


def _median(values: Floats) -> float:
    """Return the median of values (n,), in their unit; 0 of none."""
    return float(np.median(values)) if len(values) else 0.0


def _shown(scan: Scan, move: NDArray[np.float32], modality: str) -> bool:
    """Return whether a scan's lesion has a border on a modality, and its move (3,), in mm, is known."""
    return has_border(scan, modality) and bool(np.isfinite(move).all())


def _off(along: Floats, least: float) -> Floats:
    """Return by how many mm moves along an axis, (n,) in mm, differ from other scans': (n,).

    It is 0 where one does not stand apart, or differs by less than the least.
    """
    if len(along) >= LEAST_PARTED_SCANS:
        explained, parts = parted(along)
        near, far = sorted(parts, key=lambda part: abs(float(np.median(along[part]))))
        within = max(robust_sd(along[part] - np.median(along[part])) for part in parts)
        apart_from = along - np.median(along[near])
        apart = abs(float(np.median(apart_from[far])))
        if explained >= EXPLAINED_SHARE and within <= SURE_SD_MM and apart >= max(least, OFF_SDS * within):
            return np.where(np.isin(np.arange(len(along)), far), apart_from, 0.0)
    apart_from = along - np.median(along)
    if robust_sd(apart_from) > SURE_SD_MM:
        return np.zeros(len(along))
    return np.where(np.abs(apart_from) > limit(apart_from, least, OFF_SDS), apart_from, 0.0)
