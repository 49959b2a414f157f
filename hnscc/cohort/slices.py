"""The pixels of the slices that a study scores. They are read once and kept once, whatever the number of folds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hnscc.base.arrays import Images, Integers, Masks, Texts
from hnscc.base.steps import Progress
from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Pixels:
    """Every slice that some fold scores, sampled or not, in order of scan and z.

    images: float32 (N, C, H, W) in the store's raw values, C in the order of `modalities`. masks: uint8 (N, H, W) of
    0 and 1. keys: (scan id, z) of each of the N.
    """

    modalities: tuple[str, ...]
    keys: tuple[tuple[str, int], ...]
    images: Images
    masks: Masks

    @cached_property
    def row_of(self) -> dict[tuple[str, int], int]:
        """The position of each slice among the N."""
        return {key: row for row, key in enumerate(self.keys)}


def read_pixels(store: Store, divisions: Iterable[Division], progress: Progress | None = None) -> Pixels:
    """Read the slices that are scored in these folds, sampled or not, each once and whole scans at a time.

    progress: called with the number of scans read, the number of all scans, and the name of the scan that was read.
    """
    keys = tuple(sorted({(each.scan_id, each.z) for division in divisions for _, each in division.scored}))
    images = np.empty((len(keys), len(store.modalities), store.size, store.size), np.float32)
    masks = np.empty((len(keys), store.size, store.size), np.uint8)
    wanted: dict[str, list[int]] = {}
    for row, (scan_id, _) in enumerate(keys):
        wanted.setdefault(scan_id, []).append(row)
    for done, (scan_id, rows) in enumerate(wanted.items(), start=1):
        scan_images, scan_masks = store.read(scan_id)
        z = [keys[row][1] for row in rows]
        images[rows], masks[rows] = scan_images[z], scan_masks[z]
        if progress:
            progress(done, len(wanted), scan_id)
    return Pixels(store.modalities, keys, images, masks)


def rows_of_scans(scans: Iterable[str], scan: Texts, z: Integers, split: Texts) -> dict[str, Integers]:
    """Return the positions of each of these scans' slices, int (n,), sorted by z, among N slices. Slices of training
    are left out.

    The N slices are given by scan, str (N,), z, int (N,), and split, str (N,).
    """
    at = np.flatnonzero(split != "train")
    names, number = np.unique(scan[at], return_inverse=True)
    order = np.lexsort((z[at], number))  # by scan, then by z; equal ones keep their order
    parts = np.split(at[order], np.searchsorted(number[order], np.arange(1, len(names))))
    # All scans are handled in one pass: to look at every slice for each of thousands of scans would take minutes.
    rows_of = dict(zip(names.tolist(), parts, strict=False))
    return {each: rows_of.get(each, at[:0]) for each in scans}


@dataclass(frozen=True)
class Slices:
    """Slices that are read batch by batch: some rows and channels of shared arrays.

    images: float32 (N, C, H, W); masks: uint8 (N, H, W). rows: int (n,), which of the N and in which order. channels:
    which of the C. bounds: for each of these channels, the values that become 0 and 1 (paper section 2.2); None where
    the images are in 0..1 already.
    """

    images: Images
    masks: Masks
    rows: Integers
    channels: Sequence[int]
    bounds: Sequence[Bounds] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: Integers) -> tuple[Images, Masks]:
        """Return the slices at these positions in 0..n-1, int (B,), as new arrays: images float32 (B, channels, H, W)
        in 0..1, masks uint8 (B, H, W)."""
        rows = self.rows[positions]
        images = self.images[np.ix_(rows, np.asarray(self.channels))]
        if self.bounds is not None:
            normalise(images, self.bounds)
        return images, self.masks[rows]


def normalise(images: Images, bounds: Sequence[Bounds]) -> None:
    """Replace raw values x by (x - low) / (high - low), clipped to 0..1, in place.

    images: float32 (N, C, H, W), in raw values. bounds: low and high for each channel.
    """
    for channel, (low, high) in enumerate(bounds):
        view = images[:, channel]
        np.subtract(view, np.float32(low), out=view)
        np.divide(view, np.float32(high - low), out=view)
        np.clip(view, 0.0, 1.0, out=view)
