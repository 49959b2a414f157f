"""The pictures on the page that `hnscc prepare` writes. The contact sheet of a scan has a row for each modality, and
the mask's outline below. For each modality that was registered, the sheet also shows that modality and the reference
over one another, as they lay before and, unless the row with the outline shows these two, after. The histograms of a
scan's values are small SVGs on one axis with those of the other scans.

Pictures are made by array operations: matplotlib would take longer than preparing the scan.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from hnscc.reporting.plotting.style import UPTAKE, anatomy

OPACITY = 0.7
OUTLINE, EDGE = (255, 255, 255), (0, 0, 0)  # the colours of a true outline in the figures of a report
QUALITY = 80
GAP = 2  # pixels between panels

# The values that are shown darkest and brightest; for PET, which is black where it is hot, the reverse.
GreyRange = tuple[float, float]
BARS = 40  # between the ends of the axis; one more on either side holds everything beyond
WIDTH, HEIGHT = 210, 44
BAR = WIDTH / (BARS + 2)
LEAST = 1e-4  # the least share of a scan's pixels that is shown


@dataclass(frozen=True)
class Panel:
    """One plane of a scan. images: each modality's values (H, W). mask: (H, W). pixel_mm: a pixel's size in mm down and
    across. before: for each modality that was registered to `reference`, its values (H, W) before that."""

    images: Mapping[str, NDArray[np.floating]]
    mask: NDArray[np.bool_]
    pixel_mm: tuple[float, float]
    before: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    reference: str = ""


def rows_of(modalities: Sequence[str], registered: Sequence[str] = (), reference: str = "") -> list[str]:
    """Return texts that say what the rows of a contact sheet show. registered: the modalities that were registered
    to `reference`."""
    below = anatomy(modalities)
    last = f"{UPTAKE} on {below}" if below and UPTAKE in modalities else below or UPTAKE
    pairs = [
        f"{name} on {reference}, {when}"
        for name in registered
        for when in ("before", *(() if _is_fused(name, reference, modalities) else ("registered",)))
    ]
    return [*modalities, f"{last}, mask", *pairs]


def contact_sheet(panels: Sequence[Panel], ranges: Mapping[str, GreyRange], side: int) -> bytes:
    """Return a JPEG with a column for each panel. It has a row for each modality of `ranges`, then one with the mask's
    outline, then those of registered modalities, in the order of `rows_of`.

    side: the side of a panel in pixels; the longer side of a plane fills it.
    """
    columns = [_column(panel, ranges, side) for panel in panels]
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    sheet = np.hstack([part for column in columns for part in (column, gap)][:-1])
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _column(panel: Panel, ranges: Mapping[str, GreyRange], side: int) -> NDArray[np.uint8]:
    """Return a slice's pictures one below the other, (height, side, 3) of 0..255: each modality, all with the mask, and
    registered modalities before and after."""
    lengths = [pixels * step for pixels, step in zip(panel.mask.shape, panel.pixel_mm, strict=True)]
    height, width = (max(1, round(side * length / max(lengths))) for length in lengths)
    shown = {
        name: _resized(_grey(panel.images[name], window), height, width) for name, window in ranges.items()
    }
    mask = _resized(panel.mask.astype(np.uint8) * 255, height, width) > 127
    parts = [_framed(255 - grey if name == UPTAKE else grey, side) for name, grey in shown.items()]
    parts.append(_framed(_outlined(_fused(shown), mask), side))
    for name, values in panel.before.items():
        pair = {panel.reference: shown[panel.reference]}
        before = _resized(_grey(values, ranges[name]), height, width)
        parts.append(_framed(_outlined(_overlaid({**pair, name: before}), mask), side))
        if not _is_fused(name, panel.reference, shown):
            parts.append(_framed(_outlined(_overlaid({**pair, name: shown[name]}), mask), side))
    gap = np.full((GAP, side, 3), 255, np.uint8)
    return np.vstack([each for part in parts for each in (part, gap)][:-1])


def _grey(values: NDArray[np.floating], window: GreyRange) -> NDArray[np.uint8]:
    """Return values (H, W) as grey 0..255, (H, W). window: the values, in their unit, that become 0 and 255."""
    low, high = window
    share = (values - low) / (high - low if high > low else 1)
    grey: NDArray[np.uint8] = (np.clip(share, 0, 1) * 255).astype(np.uint8)
    return grey


def _resized(grey: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize grey 0..255, (H, W), to (height, width)."""
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR))


def _framed(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Put (h, w) or (h, w, 3) of 0..255 into the middle of a black square: (side, side, 3)."""
    colour = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    whole = np.zeros((side, side, 3), np.uint8)
    top, left = ((side - length) // 2 for length in colour.shape[:2])
    whole[top : top + colour.shape[0], left : left + colour.shape[1]] = colour
    return whole


def _fused(shown: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the anatomy in grey, and over it the uptake from dark red to yellow, (height, width, 3) of 0..255; only
    one of them where the other is missing. shown: (H, W) of each modality, 0 to 255."""
    below = anatomy(shown)
    if UPTAKE not in shown or below is None:
        return np.repeat(shown[below or UPTAKE][:, :, None], 3, axis=2)
    uptake = shown[UPTAKE][:, :, None] / 255
    heat = np.clip(np.concatenate([0.3 + 1.5 * uptake, 2 * uptake - 0.7, 0 * uptake], axis=2), 0, 1) * 255
    share = OPACITY * np.minimum(1.5 * uptake, 1)
    fused: NDArray[np.uint8] = ((1 - share) * shown[below][:, :, None] + share * heat).astype(np.uint8)
    return fused


def _is_fused(name: str, reference: str, modalities: Iterable[str]) -> bool:
    """Return whether the last row of the modalities already shows these two over one another."""
    return {name, reference} == {UPTAKE, anatomy(modalities)}


def _overlaid(two: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Lay two modalities, (H, W) of 0..255, over one another, (H, W, 3): as `_fused` does, or, for two anatomies, the
    first in magenta and the second in green, so that they are grey where they agree."""
    if UPTAKE in two:
        return _fused(two)
    first, second = two.values()
    return np.stack([first, second, first], axis=2)


def _outlined(colour: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3) of 0..255, with the outermost pixels of the mask, (H, W), in white, and a black line
    around them: a copy, (H, W, 3)."""
    outlined = colour.copy()
    outlined[binary_dilation(mask) & ~mask] = EDGE
    outlined[mask & ~binary_erosion(mask)] = OUTLINE
    return outlined


def shares_on_axis(
    counts: NDArray[np.integer], edges: NDArray[np.floating], axis: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the shares, 0..1, of a histogram on the common axis: float64 (42,), whose first and last hold what lies
    beyond the ends of the axis. counts: int (B,), edges: float (B + 1,), in the values of the axis. A bin counts where
    its middle lies."""
    low, high = axis
    middles = (edges[1:] + edges[:-1]) / 2
    at = np.floor((middles - low) / (high - low) * BARS).astype(np.int64) if high > low else 0 * counts
    summed = np.bincount(np.clip(at, -1, BARS) + 1, weights=counts, minlength=BARS + 2)
    shares: NDArray[np.float64] = summed / max(1, counts.sum())
    return shares


def histogram_svg(shares: NDArray[np.floating], usual: NDArray[np.floating], marks: Sequence[float]) -> str:
    """Draw shares as bars on a logarithmic scale, and those of most scans, `usual`, as a line. marks: where marks point
    at the axis from below, as shares of its length (0 to 1). shares, usual: floats (42,) in 0..1."""
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
    """Return heights in pixels of shares 0..1, both (n,); every decade of shares has the same height."""
    logs = np.log10(np.maximum(shares, LEAST))
    heights: NDArray[np.float64] = (logs - np.log10(LEAST)) / -np.log10(LEAST) * HEIGHT
    return heights
