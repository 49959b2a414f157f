"""Tells whether a body's outline in a slice is its skin or the straight border of the part that the modality shows.

A field of view that is oblique to the slices ends within them once it is resampled, and the file holds its lowest value
beyond. A body that it cuts off, or noise in it that looks like a body, ends at that border, which says nothing of where
the body lies. Air around a body may hold the lowest value too, but skin is round: only straight borders count as cuts.
"""

import numpy as np
from scipy.spatial import ConvexHull

from hnscc.base.arrays import Bools, Floats

# Of the square root of the body's area: the least length of a straight border. The sides of discs on pixels
# are shorter.
LONG_SHARE = 0.6
# In pixels: how far the corners of what is shown may lie from a border that counts as straight, and how far a body's
# outline may lie from the border of its image, since 5 x 5 pixels were averaged.
STRAIGHT_PIXELS, NEAR_PIXELS = 0.75, 3.0


def cut_off(body: Bools, lowest: Bools) -> Floats:
    """Return the share of the body's outline, 0..1, that lies along straight borders of what is shown: (Z,).

    body: (Z, H, W), without holes. lowest: (Z, H, W), where the modality holds its lowest value. Where the body reaches
    the border of the slice it has no outline.
    """
    return np.array(
        [_share(*each) for each in zip(_outlines(body), lowest, body.sum(axis=(1, 2)), strict=True)]
    )


def _outlines(body: Bools) -> Bools:
    """Return the pixels of a body (Z, H, W) that lie beside pixels outside of it, in the same shape."""
    wide = np.pad(body, ((0, 0), (1, 1), (1, 1)), mode="edge")
    inner = wide[:, :-2, 1:-1] & wide[:, 2:, 1:-1] & wide[:, 1:-1, :-2] & wide[:, 1:-1, 2:]
    return np.asarray(body & ~inner)


def _share(outline: Bools, lowest: Bools, area: int) -> float:
    """Return the share of `cut_off` for one slice. outline, lowest: (H, W). area: of the body, in pixels."""
    if not outline.any() or not lowest.any() or lowest.all():
        return 0.0
    corners = _corners(~lowest)
    edges = np.roll(corners, -1, axis=0) - corners
    ways = edges / np.hypot(*edges.T)[:, None]
    along, within = _beside(corners, ways, corners)
    near = within <= STRAIGHT_PIXELS
    first, last = (np.argmax(np.where(near, sign * along, -np.inf), axis=0) for sign in (-1, 1))
    start, end = (along[at, np.arange(len(ways))] for at in (first, last))
    # The borders of the slice itself are no cuts.
    outer = (corners < 0) | (corners > np.array(lowest.shape) - 1)
    of_slice = (outer[first] & outer[last] & (corners[first] == corners[last])).any(axis=1)
    long = (end - start >= LONG_SHARE * np.sqrt(area)) & ~of_slice
    along, within = _beside(np.argwhere(outline).astype(np.float64), ways[long], corners[long])
    cut = (within <= NEAR_PIXELS) & (along >= start[long] - NEAR_PIXELS) & (along <= end[long] + NEAR_PIXELS)
    return float(cut.any(axis=1).mean())


def _corners(shown: Bools) -> Floats:
    """Return the corners, (n, 2), row and column in pixels, of the convex hull of the pixels shown, (H, W),
    in order."""
    rows = np.flatnonzero(shown.any(axis=1))
    first, last = shown.argmax(axis=1)[rows], shown.shape[1] - 1 - shown[:, ::-1].argmax(axis=1)[rows]
    # Pixels are squares, so that the hull of a single one has an area too.
    squares = [
        np.stack([rows + down, at + right], axis=1)
        for at in (first, last)
        for down in (-0.5, 0.5)
        for right in (-0.5, 0.5)
    ]
    points = np.concatenate(squares)
    return np.asarray(points[ConvexHull(points).vertices], np.float64)


def _beside(points: Floats, ways: Floats, through: Floats) -> tuple[Floats, Floats]:
    """Return the distances in pixels, both (n, m), of points along lines, from the origin, and to the side of
    each line.

    points: (n, 2), row and column in pixels. ways: (m, 2), the lines' directions, of length 1. through: (m, 2), a point
    on each line.
    """
    along = points @ ways.T
    across = np.stack([-ways[:, 1], ways[:, 0]])
    return along, np.abs(points @ across - (through * across.T).sum(axis=1))
