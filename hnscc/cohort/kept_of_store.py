"""What a fold's folder keeps of its store: masks as they were drawn, and numbers that describe its scans without
naming them.

With the masks, scans are scored on their own grids; with the numbers, a new scan is compared. They are kept because
models and scores may be passed on without the store (`write_fold` in fold.py).
"""

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hnscc.base.arrays import Masks
from hnscc.base.encode import npz_bytes
from hnscc.cohort.placement import WAY_BACK, ValueFacts, WayBack
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import DrawnMask

# The facts that are kept of each modality's values (placement.ValueFacts): they tell its unit of values, scale
# and level.
KEPT = ("low", "first", "median", "last", "high", "rim", "tissue", "elsewhere")


@dataclass(frozen=True)
class PackedMask:
    """The mask of one scan as it was drawn, packed eight voxels to a byte, since grids may be large.

    lies: `on`, `shape` and `affine` as in `store_format.DrawnMask`, and `placement`, the part of the scan's placement
    that maps a mask of its stored slices back to a file's grid. bits: uint8 (n,), the voxels in C order.
    """

    lies: Mapping[str, Any]
    bits: Masks

    @property
    def drawn(self) -> DrawnMask:
        """The mask, unpacked: bool (Z, Y, X), a new array each time."""
        shape = tuple(self.lies["shape"])
        voxels = np.unpackbits(self.bits, count=math.prod(shape)).reshape(shape) == 1
        return DrawnMask(voxels, tuple(tuple(row) for row in self.lies["affine"]), self.lies["on"])

    @property
    def placement(self) -> WayBack:
        """The facts of the scan that `data_prep.placing.way_back` needs."""
        way_back: WayBack = self.lies["placement"]
        return way_back


def read_masks(store: Store, scans: Iterable[str]) -> dict[str, PackedMask]:
    """Return the masks of these scans as they were drawn; empty where the store keeps none. Raises what
    `Store.read` raises."""
    placements = {scan.scan_id: scan.placement for scan in store.scans}
    found = {}
    for scan in sorted(scans):
        drawn = store.read_drawn(scan)
        if drawn is not None:
            found[scan] = packed(drawn, placements[scan])
    return found


def packed(drawn: DrawnMask, placement: Mapping[str, Any]) -> PackedMask:
    """Return a mask, bool (Z, Y, X), and its scan's placement in the form in which a fold keeps them."""
    lies = {"on": drawn.on, "shape": list(drawn.voxels.shape), "affine": [list(row) for row in drawn.affine]}
    way_back = {name: placement[name] for name in WAY_BACK}
    return PackedMask({**lies, "placement": way_back}, np.packbits(drawn.voxels))


def masks_to_bytes(masks: Mapping[str, PackedMask]) -> bytes:
    """Return the content of a file of these masks, given by scan: the bits of one scan after another, compressed."""
    return npz_bytes(bits=np.concatenate([masks[scan].bits for scan in sorted(masks)]))


def masks_from_bytes(content: bytes, lies: Mapping[str, Mapping[str, Any]]) -> dict[str, PackedMask]:
    """Return the masks that `masks_to_bytes` wrote, by scan. lies: `PackedMask.lies` of each. ValueError where these do
    not fit."""
    bits = np.load(io.BytesIO(content), allow_pickle=False)["bits"]
    lengths = [-(-math.prod(lies[scan]["shape"]) // 8) for scan in sorted(lies)]
    if bits.dtype != np.uint8 or bits.shape != (sum(lengths),):
        raise ValueError(
            f"the masks as drawn take uint8 ({sum(lengths)},), not {bits.dtype} {bits.shape}; give what was written "
            "with them"
        )
    parts = np.split(bits, np.cumsum(lengths)[:-1])
    return {scan: PackedMask(lies[scan], part) for scan, part in zip(sorted(lies), parts, strict=True)}


def usual_of(store: Store) -> dict[str, Any] | None:
    """Return what the scans of a store are like: the values of each modality in every scan, and how most scans lie.

    `values`: for each modality a list of the facts named in KEPT, lowest median first. `lying`: placement.LyingFacts of
    each modality whose scans look alike. None for a store that was made before preparing kept the values.
    """
    values = {
        name: _values([scan.placement.get("values", {}).get(name, {}) for scan in store.scans])
        for name in store.modalities
    }
    if not store.scans or not all(values.values()):
        return None
    return {"values": values, "lying": store.placed.get("lying", {})}


def _values(of_scans: list[ValueFacts]) -> list[dict[str, Any]] | None:
    """Return what is kept of one modality, in an order that does not tell which scan is which; None where a scan lacks
    some of it."""
    kept: list[dict[str, Any]] = [{name: facts.get(name) for name in KEPT} for facts in of_scans]
    # In the first stores, tissue had no upper quartile, which new scans are compared with.
    found = [each for each in kept if each["median"] is not None and "upper" in (each["tissue"] or {"upper"})]
    if len(found) < len(of_scans):
        return None
    return sorted(found, key=lambda each: (each["median"], each["high"]))
