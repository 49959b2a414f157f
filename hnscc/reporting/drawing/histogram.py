"""The histogram of a scan as a small SVG beside those of the others: one axis for all of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BARS = 40  # between the ends of the axis; one more at either side holds all that lies beyond
WIDTH, HEIGHT = 210, 44
BAR = WIDTH / (BARS + 2)
LEAST = 1e-4  # of a scan's pixels: what is rarer is not drawn


def shares_on_axis(
    counts: NDArray[np.integer], edges: NDArray[np.floating], axis: tuple[float, float]
) -> NDArray[np.float64]:
    """The shares of a histogram (counts (B,), edges (B + 1,)) on the common axis: (42,), of which the first and the
    last hold what lies beyond its ends. A bin counts where its middle lies."""
    low, high = axis
    middles = (edges[1:] + edges[:-1]) / 2
    at = np.floor((middles - low) / (high - low) * BARS).astype(np.int64) if high > low else 0 * counts
    summed = np.bincount(np.clip(at, -1, BARS) + 1, weights=counts, minlength=BARS + 2)
    shares: NDArray[np.float64] = summed / max(1, counts.sum())
    return shares


def histogram_svg(shares: NDArray[np.floating], usual: NDArray[np.floating], marks: Sequence[float]) -> str:
    """Draw shares (42,) as bars on a logarithmic scale, and those of most scans as a line; `marks`, of the axis' length
    (0 to 1), point at values from below."""
    bars = "".join(
        f"M{at * BAR:.1f} {HEIGHT}v{-height:.1f}h{BAR - 0.5:.1f}v{height:.1f}z"
        for at, height in enumerate(_heights(shares))
        if height > 0
    )
    line = " ".join(
        f"{(at + 0.5) * BAR:.1f},{HEIGHT - height:.1f}" for at, height in enumerate(_heights(usual))
    )
    points = "".join(
        f"M{BAR * (1 + min(1.0, max(0.0, mark)) * BARS):.1f} {HEIGHT + 1}l3 6h-6z" for mark in marks
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 8}" width="{WIDTH}" height="{HEIGHT + 8}" role="img">'
        f'<path class="bars" d="{bars}"/><polyline class="usual" points="{line}"/>'
        f'<path class="lesion" d="{points}"/></svg>'
    )


def _heights(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    """In pixels: a decade of shares is as high as another."""
    logs = np.log10(np.maximum(shares, LEAST))
    heights: NDArray[np.float64] = (logs - np.log10(LEAST)) / -np.log10(LEAST) * HEIGHT
    return heights
