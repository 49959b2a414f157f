"""Makes closed outlines of a mask in a plane, along the edges of its pixels; filled again, they give the same mask.

A hole is joined to the outline around it by a keyhole, a channel without width, for programs that know no holes.
"""

import numpy as np

from hnscc.base.arrays import Bools, Floats

Corner = tuple[int, int]


def outlines(mask: Bools) -> list[Floats]:
    """Return closed polygons (n, 2), n >= 4, around each part of the lesion in a plane (x, y).

    Corners are in pixels, where (0, 0) is the middle of the first pixel, so that they end in a half. Pixels that touch
    only at a corner are separate parts.
    """
    loops = _loops(mask)
    outer = [loop for loop in loops if _area(loop) > 0]
    holes = sorted((loop for loop in loops if _area(loop) < 0), key=min)
    for hole in holes:  # from left to right, so that what is left of a hole is joined already
        _join(hole, outer)
    return [np.array(_corners(loop), dtype=np.float64) - 0.5 for loop in outer]


def _loops(mask: Bools) -> list[list[Corner]]:
    """Return closed loops along the edges of the pixels of a mask (x, y), corner by corner, with lesion on their left;
    so they run around holes in the other direction than around parts."""
    follows = _edges(mask)
    found = []
    while follows:
        start = next(iter(follows))
        at, loop = start, [start]
        before = at
        while True:
            after = _turn(before, at, follows[at])
            follows[at].remove(after)
            if not follows[at]:
                del follows[at]
            before, at = at, after
            if at == start:
                break
            loop.append(at)
        found.append(loop)
    return found


def _edges(mask: Bools) -> dict[Corner, list[Corner]]:
    """Return where a loop may go from each corner of the pixels of a mask (x, y): along edges between lesion and
    background, with lesion on its left."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    follows: dict[Corner, list[Corner]] = {}
    for (dx, dy), begin, end in (
        ((0, -1), (0, 0), (1, 0)),
        ((1, 0), (1, 0), (1, 1)),
        ((0, 1), (1, 1), (0, 1)),
        ((-1, 0), (0, 1), (0, 0)),
    ):
        beside = np.roll(padded, (-dx, -dy), (0, 1))[1:-1, 1:-1]
        for x, y in np.argwhere(inside & ~beside).tolist():
            follows.setdefault((x + begin[0], y + begin[1]), []).append((x + end[0], y + end[1]))
    return follows


def _turn(before: Corner, at: Corner, ways: list[Corner]) -> Corner:
    """Return the next corner; of two ways the one to the left, so that pixels that touch at a corner stay separate."""
    if len(ways) == 1 or before == at:
        return ways[0]
    dx, dy = at[0] - before[0], at[1] - before[1]
    return max(ways, key=lambda to: dx * (to[1] - at[1]) - dy * (to[0] - at[0]))


def _area(loop: list[Corner]) -> float:
    x, y = np.array(loop).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _join(hole: list[Corner], outer: list[list[Corner]]) -> None:
    """Insert a hole into the outline to its left: from there to the hole's leftmost corner, around it, and back."""
    first = hole.index(min(hole))
    around = [*hole[first:], *hole[: first + 1]]
    x, y = around[0]
    while True:
        x -= 1
        for loop in outer:
            if (x, y) in loop:
                at = loop.index((x, y))
                loop[at + 1 : at + 1] = [*around, (x, y)]
                return


def _corners(loop: list[Corner]) -> list[Corner]:
    """Return the loop without corners on straight lines."""
    turns = zip(loop, loop[1:] + loop[:1], loop[-1:] + loop[:-1], strict=True)
    return [
        at
        for at, after, before in turns
        if (at[0] - before[0], at[1] - before[1]) != (after[0] - at[0], after[1] - at[1])
    ]
