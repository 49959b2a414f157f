"""Finds slices in another order than in the body: sorted by name, or as they were acquired, every second
slice first."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree

from data_prep.oddities.oddity import Odd, of_some
from data_prep.oddities.twins import seen_patterns
from hnscc.cohort.store_format import Scan

LEAST_SLICES = 8  # slices that show something, at least
FAR_SLICES = 2  # slices: nearer ones are neighbours, or next to them where one slice is poor
# Of the pairs that are far apart: if so many are mirrored at one slice, the body is symmetric about it.
SYMMETRIC_SHARE = 0.5
MANY_SLICES = 3  # slices that belong beside one far away
# Times the length of the shortest tree that joins all slices; volumes of any kind have 1.05.
LONGER_TIMES = 1.12
# Median distance along it, of slices of length 1: a correlation of 0.5; noise alone has 1.4.
JOINED_DISTANCE = 1.0


def odd_order(
    scans: Sequence[Scan], modalities: Sequence[str], patterns: Sequence[NDArray[np.float32]]
) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality whose slices belong beside others than their neighbours.

    patterns: float32 (C, Z, 16, 16) of each scan, each slice of length 1, as returned
    by data_prep.oddities.twins.reduced.
    """
    for at, modality in enumerate(modalities):
        chosen = [
            scan
            for scan, each in zip(scans, patterns, strict=True)
            if _disordered(seen_patterns(scan, modality, each[at]))
        ]
        yield from of_some(
            scans,
            chosen,
            f"the slices of {modality} do not follow one another: they are more like others far away than like their "
            "neighbours; were they sorted by name, or in the order in which they were acquired?",
            files=(modality,),
            shown_in=modality,
        )


def _disordered(patterns: NDArray[np.float32]) -> bool:
    """Return whether the way from slice to slice is longer than the shortest tree that joins them, which then has
    far jumps.

    Slices that the modality does not show are left out, since their neighbours are half black. patterns: (Z, 256), each
    of length 1.
    """
    shown = patterns[patterns.any(axis=1)].astype(np.float64)
    if len(shown) < LEAST_SLICES:
        return False
    # A distance of 0 would mean no connection.
    apart = np.sqrt(np.maximum(2 - 2 * shown @ shown.T, 1e-9))
    tree = minimum_spanning_tree(apart).tocoo()
    far = np.abs(tree.row - tree.col) > FAR_SLICES
    way = float(np.diag(apart, 1).sum())
    if far.sum() < MANY_SLICES or _mirrored((tree.row + tree.col)[far]):
        return False
    return way >= LONGER_TIMES * float(tree.data.sum()) and float(np.median(tree.data)) <= JOINED_DISTANCE


def _mirrored(sums: NDArray[np.int32]) -> bool:
    """Return whether many pairs of slices, given by the sums (n,) of their positions, are symmetric about one slice."""
    return bool((np.abs(sums - np.median(sums)) <= 1).mean() >= SYMMETRIC_SHARE)
