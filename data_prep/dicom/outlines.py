"""From a mask in a plane to closed outlines along the edges of its pixels: what fills them again is the mask itself.

A hole is joined to the outline around it by a keyhole, a channel without width, which programs read that know no holes.
"""

import numpy as np

from hnscc.base.arrays import Bools, Floats

Corner = tuple[int, int]


def outlines(mask: Bools) -> list[Floats]:
    """Outline the lesion in a plane (x, y), as it stands there: of each part a closed polygon (n, 2), n >= 4.

    Corners are in pixels, the middle of the first pixel being (0, 0), so that they end in a half. Pixels that touch at
    a corner alone are parts of their own.
    """
    loops = _loops(mask)
    outer = [loop for loop in loops if _area(loop) > 0]
    holes = sorted((loop for loop in loops if _area(loop) < 0), key=min)
    for hole in holes:  # from left to right: what stands left of a hole is joined already
        _join(hole, outer)
    return [np.array(_corners(loop), dtype=np.float64) - 0.5 for loop in outer]


def _loops(mask: Bools) -> list[list[Corner]]:
    """Closed ways along the edges of the pixels of a mask (x, y), one corner after another, with lesion on their left:
    around holes the other way than around parts."""
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
    """Where one may go from each corner of the pixels of a mask (x, y): along the edges between lesion and none, lesion
    on the left."""
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
    """Where two ways go on, the one to the left: pixels that touch at a corner stay apart."""
    if len(ways) == 1 or before == at:
        return ways[0]
    dx, dy = at[0] - before[0], at[1] - before[1]
    return max(ways, key=lambda to: dx * (to[1] - at[1]) - dy * (to[0] - at[0]))


def _area(loop: list[Corner]) -> float:
    x, y = np.array(loop).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _join(hole: list[Corner], outer: list[list[Corner]]) -> None:
    """Lead the outline that lies left of a hole along it: to its leftmost corner, around it, and back."""
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
    """The loop without what lies on the way straight on."""
    turns = zip(loop, loop[1:] + loop[:1], loop[-1:] + loop[:-1], strict=True)
    return [
        at
        for at, after, before in turns
        if (at[0] - before[0], at[1] - before[1]) != (after[0] - at[0], after[1] - at[1])
    ]
