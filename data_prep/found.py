"""What preparing finds in a scan, in numbers: values, lesion, slices without content. It is kept in the store."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.lesions import Lesion
from data_prep.resize import Window, inside
from data_prep.volumes import Grid, Volume

# Of the way from air to the 99th percentile: what is brighter, averaged over 5 x 5 pixels, is body. Air on MRI is
# noisy; the mean takes most of that away, and the 1st percentile of the means is its level.
ABOVE_AIR = 0.03
SMOOTHED = 5  # pixels


def values_of(volume: Volume) -> dict[str, Any]:
    """Lowest, median and highest value of the voxels that hold one, 1st and 99th percentile, and the number of NaN.

    With them what states the orientation and, where the file states it, the unit.
    """
    held = volume.data if volume.blank is None else volume.data[~volume.blank]
    low, first, median, last, high = (float(value) for value in np.percentile(held, [0, 1, 50, 99, 100]))
    return {
        "low": low,
        "first": first,
        "median": median,
        "last": last,
        "high": high,
        "nan": 0 if volume.blank is None else int(volume.blank.sum()),
        "orientation": volume.grid.stated_by,
        **({"unit": volume.unit} if volume.unit else {}),
    }


def lesion_of(
    lesion: Lesion,
    mask: Volume | None,
    grid: Grid,
    window: Window,
    images: NDArray[np.float32],
    stored: NDArray[np.uint8],
) -> dict[str, Any]:
    """Volume of the lesion in ml, and its share of the grid and of the body, 0 to 1; how its mask was drawn.

    images (Z, C, H, W) and stored (Z, H, W) are the stored slices, by which the body is measured; `window` says which
    of their pixels lie on the grid.
    """
    voxels = int(lesion.voxels.sum())
    rows, columns = inside(window, grid.shape[1], 0), inside(window, grid.shape[0], 1)
    lesion_px = int(stored.sum())
    # The body is slow to find, and nothing is no share of it.
    body_px = int(body(images[:, :, rows][:, :, :, columns]).sum()) if lesion_px else 0
    return {
        "ml": round(voxels * float(np.prod(grid.spacing)) / 1000, 4),
        "share_of_grid": voxels / lesion.voxels.size,
        "share_of_body": lesion_px / max(1, body_px),
        "drawn_on": lesion.drawn_on,
        "orientation": None if mask is None else mask.grid.stated_by,
        "nan": 0 if mask is None or mask.blank is None else int(mask.blank.sum()),
    }


def body(images: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(Z, C, H, W) -> (Z, H, W): where some modality shows more than air. The pixels are those of the grid."""
    shown = np.zeros(images.shape[:1] + images.shape[2:], dtype=bool)
    for image in images.swapaxes(0, 1):
        smooth = ndimage.uniform_filter(image.astype(np.float64), (0, SMOOTHED, SMOOTHED))
        air, last = np.percentile(smooth, [1, 99])
        shown |= smooth > air + ABOVE_AIR * (last - air)
    return shown
