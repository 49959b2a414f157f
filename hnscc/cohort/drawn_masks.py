"""Masks as they were drawn, in a fold's folder: with them, scans are scored on their own grids without the store."""

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hnscc.base.arrays import Masks
from hnscc.base.encode import npz_bytes
from hnscc.cohort.placement import WAY_BACK, WayBack
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import DrawnMask


@dataclass(frozen=True)
class PackedMask:
    """The mask of one scan as it was drawn, eight voxels a byte until it is asked for, since grids may be large.

    lies: `on`, `shape` and `affine` as of `store_format.DrawnMask`, and `placement`, the part of the scan's placement
    that brings a mask of its stored slices back. bits: uint8 (n,), the voxels in C order.
    """

    lies: Mapping[str, Any]
    bits: Masks

    @property
    def drawn(self) -> DrawnMask:
        """The mask, unpacked: a new array each time."""
        shape = tuple(self.lies["shape"])
        voxels = np.unpackbits(self.bits, count=math.prod(shape)).reshape(shape) == 1
        return DrawnMask(voxels, tuple(tuple(row) for row in self.lies["affine"]), self.lies["on"])

    @property
    def placement(self) -> WayBack:
        """What `data_prep.placing.way_back` needs of the scan."""
        way_back: WayBack = self.lies["placement"]
        return way_back


def read_masks(store: Store, scans: Iterable[str]) -> dict[str, PackedMask]:
    """The masks of these scans as they were drawn; empty where the store keeps none. Errors as of `Store.read`."""
    placements = {scan.scan_id: scan.placement for scan in store.scans}
    found = {}
    for scan in sorted(scans):
        drawn = store.read_drawn(scan)
        if drawn is not None:
            found[scan] = packed(drawn, placements[scan])
    return found


def packed(drawn: DrawnMask, placement: Mapping[str, Any]) -> PackedMask:
    """A mask and its scan's placement, as a fold keeps them."""
    lies = {"on": drawn.on, "shape": list(drawn.voxels.shape), "affine": [list(row) for row in drawn.affine]}
    way_back = {name: placement[name] for name in WAY_BACK}
    return PackedMask({**lies, "placement": way_back}, np.packbits(drawn.voxels))


def to_bytes(masks: Mapping[str, PackedMask]) -> bytes:
    """The file of these masks, by scan: the bits of all, one scan after another, compressed."""
    return npz_bytes(bits=np.concatenate([masks[scan].bits for scan in sorted(masks)]))


def from_bytes(content: bytes, lies: Mapping[str, Mapping[str, Any]]) -> dict[str, PackedMask]:
    """The masks that `to_bytes` wrote; lies: `PackedMask.lies` of each scan. ValueError where these do not fit."""
    bits = np.load(io.BytesIO(content), allow_pickle=False)["bits"]
    lengths = [-(-math.prod(lies[scan]["shape"]) // 8) for scan in sorted(lies)]
    if bits.dtype != np.uint8 or bits.shape != (sum(lengths),):
        raise ValueError(
            f"the masks as drawn take uint8 ({sum(lengths)},), not {bits.dtype} {bits.shape}; give what was written "
            "with them"
        )
    parts = np.split(bits, np.cumsum(lengths)[:-1])
    return {scan: PackedMask(lies[scan], part) for scan, part in zip(sorted(lies), parts, strict=True)}
