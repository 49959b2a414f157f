"""Finds modalities that are mirror images of one another from left to right.

A modality is mirrored where a header lost in which direction an axis runs (its handedness, NIfTI's qfac). Heads are
nearly symmetric, so no mean image of a cohort shows it. But no skin is quite even: where the line midway between its
left and right side deviates to the left on one modality, from row to row and slice to slice, it does so on the other;
on a mirrored one it deviates to the right.
"""

from collections.abc import Container, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.oddity import LEAST_SCANS, Odd, of_some
from data_prep.placing.bodies import largest_filled
from data_prep.placing.found import body, smoothed
from hnscc.base.arrays import Bools, Images
from hnscc.cohort.store_format import Scan

# Of the widest row of a slice: where narrower rows end depends on how a modality shows the skin.
WIDE_SHARE = 0.6
LEAST_ROWS = 100  # rows of all slices that both modalities must show
# The least correlation, of either sign, of the lines of two modalities that tells how they lie.
CLEAR_CORRELATION = 0.5
CLEAR_SCANS_SHARE = 0.8  # of the scans: so many must tell it


def midlines(images: Images) -> NDArray[np.float32]:
    """Return, for each row of each slice, the column midway between both sides of the skin, in pixels: (C, Z,
    H) float32.

    It is NaN where the body is narrow, or not shown. images: (Z, C, H, W), in raw values.
    """
    return np.stack([_midline(largest_filled(body(smoothed(image)))) for image in images.swapaxes(0, 1)])


def _midline(shown: Bools) -> NDArray[np.float32]:
    """Return the line of `midlines`, in pixels: (Z, H). shown: (Z, H, W), the body without holes."""
    first = shown.argmax(axis=2)
    last = shown.shape[2] - 1 - shown[:, :, ::-1].argmax(axis=2)
    width = np.where(shown.any(axis=2), last - first + 1, 0)
    wide = width > WIDE_SHARE * width.max(axis=1, keepdims=True)
    found: NDArray[np.float32] = np.where(wide, (first + last) / 2, np.nan).astype(np.float32)
    return found


def odd_mirrored(
    scans: Sequence[Scan],
    modalities: Sequence[str],
    lines: Sequence[NDArray[np.float32]],
    known: Container[tuple[str, str]] = (),
) -> Iterator[Odd]:
    """Yield a sentence on the scans in which a modality and that of the grid are mirror images of one another.

    lines: (C, Z, H) of each scan, in pixels, as returned by `midlines`. known: scans with a modality that look
    otherwise for a reported reason. Nothing is said of a cohort whose scans do not show clearly how they lie.
    """
    if len(scans) < LEAST_SCANS:
        return
    reference = scans[0].placement["reference"]
    of = list(modalities).index(reference)
    for at, modality in enumerate(modalities):
        alike = np.array([_correlation(each[at], each[of]) for each in lines])
        if (np.abs(alike) >= CLEAR_CORRELATION).mean() < CLEAR_SCANS_SHARE:
            continue
        chosen = [
            scan
            for scan, each in zip(scans, alike, strict=True)
            if each <= -CLEAR_CORRELATION
            and not any((scan.scan_id, name) in known for name in (modality, reference))
        ]
        text = (
            f"{modality} and {reference} are mirror images of one another from left to right: where the skin is uneven "
            "to the left on one of them, it is so to the right on the other. Which of both is mirrored is not seen: "
            "does a header say wrongly which way its axis runs (in NIfTI, a lost qfac)?"
        )
        yield from of_some(scans, chosen, text, files=(modality, reference), shown_in=modality)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation of two lines, each (Z, H) in pixels, where both are known; 0 where too little is."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < LEAST_ROWS or min(np.ptp(one[both]), np.ptp(other[both])) == 0:
        return 0.0
    return float(np.corrcoef(one[both], other[both])[0, 1])
