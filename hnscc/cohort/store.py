"""An opened slice store: every slice of every scan of a cohort. A scan is read whole or not at all. Its
files: store_format."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from hnscc.base.arrays import Images, Masks
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from hnscc.base.locations import Location
from hnscc.base.steps import Progress
from hnscc.cohort.placement import CohortPlacement
from hnscc.cohort.store_as_found import (
    DamagedStore,
    Undecodable,
    asked,
    attributes_of,
    damaged_store,
    group_of,
    kind_of_error,
    no_store,
    root_attributes,
)
from hnscc.cohort.store_format import (
    FORMAT,
    SCANS_GROUP,
    SCHEMA_VERSION,
    DrawnMask,
    Scan,
    content_digest,
    drawn_digest,
    index_entry,
    scan_of,
    scan_path,
    store_digest,
    suv_modality,
    zarr_store,
)


@dataclass(frozen=True)
class Store:
    """An opened store.

    `digest` depends only on content and settings, not on location, time or number of workers. `placed` says how the
    scans were placed and resized. `scans` are sorted by scan_id. `size` is the height and width of slices in pixels.
    """

    location: str
    modalities: tuple[str, ...]
    size: int
    digest: str
    scans: tuple[Scan, ...] = field(repr=False)  # a notebook would show thousands of lines
    placed: CohortPlacement = field(repr=False)

    @property
    def odd(self) -> tuple[str, ...]:
        """What preparing found odd about the scans, a sentence each, and the reason for accepting it where one was
        needed. Stores that were made before preparing looked for oddities have none."""
        told = [
            f"scan {each['scan_id']}: {each['text']}" if each["scan_id"] else str(each["text"])
            for each in self.placed.get("odd", [])
        ]
        reason = self.placed.get("accepted")
        return (*told, *([f"accepted as it is, with the reason: {reason}"] if reason else []))

    @property
    def placing(self) -> dict[str, Any]:
        """How a new scan must be placed to be like these: the parts of `store_format.Placing`, as folds keep it.

        `reference` is None in stores that `hnscc prepare` did not make. `suv` is absent from those that were made
        before preparing kept it, and `register` where no registration was asked for.
        """
        kept = {name: self.placed[name] for name in ("suv", "register") if name in self.placed}
        return kept | {
            "reference": self.placed.get("reference"),
            "size": self.size,
            "pixel_mm": self.placed.get("pixel_mm"),
            "units": self.placed.get("units", {}),
        }

    @property
    def in_suv(self) -> str | None:
        """The modality whose files all state that they are in SUV, or None."""
        return suv_modality(self.placed.get("units", {}))

    def read(self, scan_id: str) -> tuple[Images, Masks]:
        """Return all slices of one scan: images (Z, C, H, W) float32 in raw values, mask (Z, H, W) uint8 of 0 and 1.

        Each shard is read once, and the content is compared with the scan's digest. InputError names the scan if it is
        not in the store, and DamagedStore if it is damaged. StorageError is raised where disk or S3 do not answer.
        """
        scan = self._scan(scan_id)
        images = self._array(scan_id, "images", (scan.slices, len(self.modalities), self.size, self.size))
        mask = self._array(scan_id, "mask", (scan.slices, self.size, self.size))
        if content_digest(images, mask) != scan.digest:
            raise damaged_store(
                self.location, scan_id, "another content (a chunk is missing or was replaced)"
            )
        return images, mask

    def read_drawn(self, scan_id: str) -> DrawnMask | None:
        """Return the mask of one scan as it was drawn; None where the store keeps none, as in stores of
        earlier versions.

        Raises what `read` raises.
        """
        lies = self._scan(scan_id).placement.get("drawn")
        if lies is None:
            return None
        voxels = self._array(scan_id, "drawn", tuple(lies["shape"]))
        if drawn_digest(voxels) != lies["digest"]:
            raise damaged_store(
                self.location, scan_id, "another mask as drawn (a chunk is missing or was replaced)"
            )
        return DrawnMask(voxels == 1, tuple(tuple(row) for row in lies["affine"]), lies["on"])

    @cached_property
    def _scan_of(self) -> dict[str, Scan]:
        """Each scan by its id, since thousands are read one by one."""
        return {scan.scan_id: scan for scan in self.scans}

    def _scan(self, scan_id: str) -> Scan:
        if scan := self._scan_of.get(scan_id):
            return scan
        raise InputError(
            "The store has no such scan.",
            where=f"store {self.location}",
            expected=f"one of its {count_of(len(self.scans), 'scan')}",
            found=f"scan {scan_id}",
            do="Check the scan id, or prepare the store again from a manifest that lists the scan.",
        )

    def _array(self, scan_id: str, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of a scan, in the type and unit of values in which it was written. InputError where it is
        damaged or has not this shape, such as (Z, H, W)."""
        path = scan_path(scan_id, name)
        where = zarr_store(self.location)
        try:
            array = asked(self.location, lambda: zarr.open_array(where, path=path, mode="r", zarr_format=3))
            if array.shape != shape:  # damaged metadata can claim a size beyond all memory
                raise damaged_store(self.location, scan_id, f"{name} of another shape")
            return asked(self.location, lambda: np.asarray(array[...]))
        except (FileNotFoundError, Undecodable) as error:
            raise damaged_store(
                self.location, scan_id, f"chunks that cannot be read ({kind_of_error(error)})"
            ) from None


def open_store(location: str | Location) -> Store:
    """Open a store and check its index. One small file is read, whatever the number of scans.

    InputError is raised where there is no store, or one of another schema version; DamagedStore where its metadata
    are damaged; StorageError where disk or S3 do not answer.
    """
    attributes = root_attributes(location)
    if attributes.get("format") != FORMAT:
        raise no_store(location, "a folder or Zarr hierarchy made by something else")
    if attributes.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "The store was written by another version of this program.",
            where=f"store {location}",
            expected=f"schema version {SCHEMA_VERSION}",
            found=f"schema version {attributes.get('schema_version')}",
            do="Prepare the store again with this version: hnscc prepare MANIFEST STORE.",
        )
    index: dict[str, Any] = {key: attributes.get(key) for key in ("modalities", "size", "placed", "scans")}
    try:
        digest = store_digest(index)
    except ValueError:  # a NaN, which JSON readers let pass
        digest = None
    if digest is None or attributes.get("digest") != digest:
        raise damaged_store(location, None, "metadata that do not belong together")
    scans = tuple(scan_of(entry) for entry in index["scans"])
    return Store(
        location=str(location),
        modalities=tuple(index["modalities"]),
        size=index["size"],
        digest=digest,
        scans=scans,
        placed=index["placed"],
    )


def verify_store(store: Store, progress: Progress | None = None) -> int:
    """Read every chunk of every scan, compare it with checksums, digests and index, and return the number of slices.

    InputError names every damaged scan or, if none is damaged, every scan that the index does not list.
    """
    damaged = []
    for done, scan in enumerate(store.scans):
        if progress:
            progress(done, len(store.scans), scan.scan_id)
        if not _is_sound(store, scan):
            damaged.append(scan.scan_id)
    unlisted = [] if damaged else _unlisted(store)  # damaged metadata would stop the listing
    if progress:
        progress(len(store.scans), len(store.scans), "verified")
    if damaged or unlisted:
        found = [f"{len(damaged)} damaged: {', '.join(damaged)}"] if damaged else []
        found += [f"{len(unlisted)} not in the index: {', '.join(unlisted)}"] if unlisted else []
        raise InputError(
            "The store is damaged.",
            where=f"store {store.location}",
            expected=f"{count_of(len(store.scans), 'scan')} whose content has the checksums and digests of the index",
            found="; ".join(found),
            do="Prepare the store again from its manifest, or restore it from a copy.",
        )
    return sum(scan.slices for scan in store.scans)


def _is_sound(store: Store, scan: Scan) -> bool:
    try:
        store.read(scan.scan_id)
        store.read_drawn(scan.scan_id)
        attributes = attributes_of(store.location, scan_path(scan.scan_id))
    except (DamagedStore, FileNotFoundError, Undecodable):
        return False
    return attributes == index_entry(scan)


def _unlisted(store: Store) -> list[str]:
    listed = {scan.scan_id for scan in store.scans}
    try:
        there = asked(store.location, lambda: set(group_of(store.location, SCANS_GROUP).group_keys()))
    except (FileNotFoundError, Undecodable) as error:
        raise damaged_store(
            store.location, None, f"metadata that cannot be read ({kind_of_error(error)})"
        ) from None
    return sorted(there - listed)
