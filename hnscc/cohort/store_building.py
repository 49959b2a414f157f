"""The slice store: one Zarr v3 hierarchy that holds every slice of every scan of a cohort.

    scans/<scan>/images   float32 (Z, C, H, W), raw units (SUV for PET); one chunk per slice, one shard per
    scan scans/<scan>/mask     uint8 (Z, H, W), 1 where lesion
    scans/<scan>          attributes: the scan's entry of the root's index
    (root)                attributes: schema version, modalities in order, slice size, how it was placed, the
                          index of all scans, and the store's digest

Slices are transaxial and shown as in radiology: rows run to posterior, columns to the patient's left, z to
superior. Every chunk has a crc32c; since a deleted chunk reads as zeros, every scan also has a digest of its
content, and the store's digest covers the index, so that nothing can be damaged or exchanged unnoticed.

A store is built in a folder; one on S3 (s3://bucket/prefix) is uploaded from there, the root's zarr.json last.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import LocalStore, ObjectStore

from hnscc.base.errors import InputError
from hnscc.base.files import hash_of, storage_errors
from hnscc.base.lease import only_one
from hnscc.base.locations import Place, S3Path, client, patiently, place

FORMAT = "hnscc-slice-store"
SCHEMA_VERSION = 1
ROOT = "zarr.json"
# Beside the scans of a store on S3 while it is uploaded: what says that it is ours, and that nobody else uploads.
UNFINISHED = ".unfinished"
LOCK = ".lock"
UPLOADS_AT_ONCE = 4
# What Zarr, its codecs and json raise on damaged bytes (ValueError covers Zarr's own errors and bad JSON).
DAMAGE = (ValueError, TypeError, LookupError, OSError, RuntimeError, AttributeError, OverflowError)

Progress = Callable[[int, int, str], None]  # done, total, text
Answer = TypeVar("Answer")


class DamagedStore(InputError):
    """A store whose content is not what was written."""


@dataclass(frozen=True)
class Scan:
    """What is known of one scan of a store without reading its slices.

    lesion_px: per slice, lesion pixels of the stored mask. source_lesion_px: per slice, lesion pixels on the
    grid the mask is drawn on; a slice with source > 0 and stored == 0 lost its lesion in the resize.
    spacing_mm: z, y, x of the stored slices. affine: 4 x 4, stored index (x, y, z) -> mm (x to right, y to
    anterior, z to superior, as in NIfTI).
    placement: the facts that map a predicted mask back to the input grid; see data_prep.place.to_input_grid.
    digest: SHA-256 of images and mask. split: train, validation or test where the manifest fixes it.
    """

    scan_id: str
    patient_id: str
    slices: int
    lesion_px: tuple[int, ...]
    source_lesion_px: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, float, float, float], ...]
    placement: dict[str, Any]
    digest: str
    split: str | None


@dataclass(frozen=True)
class Store:
    """An opened store. `digest` depends on content and settings alone: not on place, time or number of
    workers.

    `placed`: how the scans were placed and resized. `scans` are sorted by scan_id.
    """

    location: str
    modalities: tuple[str, ...]
    size: int
    digest: str
    scans: tuple[Scan, ...]
    placed: dict[str, Any]

    def read(self, scan_id: str) -> tuple[np.ndarray, np.ndarray]:
        """All slices of one scan: images (Z, C, H, W) float32 in raw units, mask (Z, H, W) uint8 of 0 and 1.

        One read per shard; the content is compared with the scan's digest. InputError names the scan if it is
        not in the store, or damaged; StorageError where disk or S3 do not answer.
        """
        scan = next((scan for scan in self.scans if scan.scan_id == scan_id), None)
        if scan is None:
            raise InputError(
                "The store has no such scan.",
                where=f"store {self.location}",
                expected=f"one of its {len(self.scans)} scans",
                found=f"scan {scan_id}",
                do="Check the scan id, or prepare the store again from a manifest that lists the scan.",
            )

        def read() -> tuple[np.ndarray, np.ndarray]:
            root = zarr.open_group(zarr_store(self.location), mode="r", zarr_format=3)
            images, mask = (root[f"scans/{scan_id}/{name}"] for name in ("images", "mask"))
            return np.asarray(images[...]), np.asarray(mask[...])

        try:
            images, mask = _asked(self.location, read)
        except DAMAGE as error:
            raise _damaged(self.location, scan_id, f"chunks that cannot be read ({_kind(error)})") from None
        if content_digest(images, mask) != scan.digest:
            raise _damaged(self.location, scan_id, "another content (a chunk is missing or was replaced)")
        return images, mask


def zarr_store(location: str | Place) -> LocalStore | ObjectStore:
    """The only place that turns a location into a Zarr store; one on S3 can only be read through it."""
    where = place(location)
    if isinstance(where, S3Path):
        return ObjectStore(client(where.bucket, where.key), read_only=True)
    return LocalStore(where)


def _asked(location: str | Place, read: Callable[[], Answer]) -> Answer:
    """What `read` gives. A disk or an S3 storage that does not answer is StorageError, never damage."""
    where = place(location)
    if isinstance(where, S3Path):
        return patiently(where, read)
    with storage_errors(where):
        return read()


def open_store(location: str | Place) -> Store:
    """Open a finished store and check its index. One small file is read, whatever the number of scans.

    InputError: absent, not a store of this program, another schema version, damaged metadata. StorageError where
    disk or S3 do not answer.
    """
    attributes = _root_attributes(location)
    if attributes.get("format") != FORMAT:
        raise _no_store(location, "a folder or Zarr hierarchy made by something else")
    if attributes.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "The store was written by another version of this program.",
            where=f"store {location}",
            expected=f"schema version {SCHEMA_VERSION}",
            found=f"schema version {attributes.get('schema_version')}",
            do="Prepare the store again with this version: hnscc prepare MANIFEST STORE.",
        )
    index = {key: attributes.get(key) for key in ("modalities", "size", "placed", "scans")}
    try:
        sound = attributes.get("digest") == _store_digest(index)
    except ValueError:  # a NaN, which JSON readers let pass
        sound = False
    if not sound:
        raise _damaged(location, None, "metadata that do not belong together")
    scans = tuple(_scan_from(entry) for entry in index["scans"])
    return Store(
        str(location), tuple(index["modalities"]), index["size"], attributes["digest"], scans, index["placed"]
    )


def verify_store(store: Store, progress: Progress | None = None) -> int:
    """Read every chunk of every scan and compare with checksums, digests and index; the number of slices
    checked.

    InputError names every damaged scan or, where all are sound, every scan that the index does not list.
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
            expected=f"{len(store.scans)} scans whose content has the checksums and digests of the index",
            found="; ".join(found),
            do="Prepare the store again from its manifest, or restore it from a copy.",
        )
    return sum(scan.slices for scan in store.scans)


def begin_store(final: Place, overwrite: bool) -> Path:
    """An empty, unfinished store beside its final name, or in a temporary folder where that is on S3.

    InputError if `final` exists and must not be replaced.
    """
    _check_vacant(final, overwrite)
    if isinstance(final, S3Path):
        unfinished = Path(tempfile.mkdtemp(prefix="hnscc-store-"))
    else:
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".unfinished", dir=final.parent))
        unfinished.chmod(0o755)  # mkdtemp is for the owner alone; a cluster's other nodes read stores too
    zarr.create_group(zarr_store(unfinished), zarr_format=3)
    zarr.create_group(zarr_store(unfinished), path="scans", zarr_format=3)
    return unfinished


def write_scan(
    unfinished: Path,
    images: np.ndarray,
    mask: np.ndarray,
    *,
    scan_id: str,
    patient_id: str,
    source_lesion_px: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    affine: tuple[tuple[float, ...], ...],
    placement: dict[str, Any],
    split: str | None,
) -> Scan:
    """Write images (Z, C, H, W) float32 and mask (Z, H, W) uint8 of one scan; the scan's entry for the
    index."""
    if (
        images.dtype != np.float32
        or mask.dtype != np.uint8
        or images.shape[:1] + images.shape[2:] != mask.shape
    ):
        raise ValueError(
            "images must be (Z, C, H, W) float32 and the mask (Z, H, W) uint8 of the same slices"
        )
    scan = Scan(
        scan_id=scan_id,
        patient_id=patient_id,
        slices=len(mask),
        lesion_px=tuple(int(count) for count in mask.sum(axis=(1, 2), dtype=np.int64)),
        source_lesion_px=source_lesion_px,
        spacing_mm=spacing_mm,
        affine=affine,
        placement=placement,
        digest=content_digest(images, mask),
        split=split,
    )
    target = zarr_store(unfinished)
    group = zarr.create_group(target, path=f"scans/{scan_id}", attributes=_entry(scan), zarr_format=3)
    _write_array(group, "images", images)
    _write_array(group, "mask", mask)
    return scan


def finish_store(
    unfinished: Path,
    final: Place,
    *,
    modalities: tuple[str, ...],
    size: int,
    placed: dict[str, Any],
    scans: list[Scan],
    overwrite: bool,
    progress: Progress | None = None,
) -> Store:
    """Write the root attributes and rename the store to its final name (replacing one only if `overwrite`), or
    upload it there."""
    entries = [_entry(scan) for scan in sorted(scans, key=lambda scan: scan.scan_id)]
    index = {"modalities": list(modalities), "size": size, "placed": placed, "scans": entries}
    head = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "digest": _store_digest(index)}
    zarr.open_group(zarr_store(unfinished), mode="r+", zarr_format=3).update_attributes({**head, **index})
    if isinstance(final, S3Path):
        _upload(unfinished, final, overwrite, progress)
        shutil.rmtree(unfinished)
    else:
        _rename(unfinished, final, overwrite)
    return open_store(final)


def _rename(unfinished: Path, final: Path, overwrite: bool) -> None:
    replaced = None
    if _check_vacant(final, overwrite):
        replaced = final.with_name(f"{unfinished.name}.replaced")
        final.rename(replaced)
    unfinished.rename(final)
    if replaced:
        shutil.rmtree(replaced)


def _upload(folder: Path, final: S3Path, overwrite: bool, progress: Progress | None) -> None:
    """The root's zarr.json goes first and comes last: in between there is no store, neither the old nor the new one.

    An upload that was cut short leaves UNFINISHED behind, and the same command begins again.
    """
    tell = progress or (lambda done, total, text: None)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    root = files.pop(ROOT)
    with only_one(final / LOCK):
        _check_vacant(final, overwrite)
        (final / UNFINISHED).write_bytes(FORMAT.encode())
        (final / ROOT).unlink(missing_ok=True)
        for each in (final / "scans").below():
            if each.key.removeprefix(f"{final.key}/") not in files:
                each.unlink(missing_ok=True)
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            uploads = pool.map(lambda name: (final / name).write_bytes(files[name].read_bytes()), files)
            for done, _ in enumerate(uploads, start=1):
                tell(done, len(files), "uploading")
        (final / ROOT).write_bytes(root.read_bytes())
        (final / UNFINISHED).unlink(missing_ok=True)


def content_digest(images: np.ndarray, mask: np.ndarray) -> str:
    """SHA-256 over shapes and little-endian C-order bytes of images (Z, C, H, W) float32 and mask (Z, H, W)
    uint8."""
    digest = hashlib.sha256(f"{images.shape} {images.dtype} {mask.shape} {mask.dtype}".encode())
    digest.update(np.ascontiguousarray(images, dtype="<f4"))
    digest.update(np.ascontiguousarray(mask))
    return digest.hexdigest()


def _write_array(group: zarr.Group, name: str, values: np.ndarray) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=values.shape,
        # The crc comes last, over the compressed bytes: Zarr's default codecs return wrong data on a flipped
        # bit.
        compressors=[
            # The lowest level: a higher one takes twice the time for 1 % of the room.
            BloscCodec(typesize=values.itemsize, cname="zstd", clevel=1, shuffle="shuffle"),
            Crc32cCodec(),
        ],
        # Without this a slice of zeros only (most masks) would not be written, like a chunk that got lost.
        config={"write_empty_chunks": True},
    )
    array[...] = values


def _root_attributes(location: str | Place) -> dict[str, Any]:
    try:
        return _asked(
            location, lambda: dict(zarr.open_group(zarr_store(location), mode="r", zarr_format=3).attrs)
        )
    except FileNotFoundError:
        raise _no_store(location, _what_is_there(location)) from None
    except DAMAGE as error:
        raise _damaged(location, None, f"metadata that cannot be read ({_kind(error)})") from None


def _what_is_there(location: str | Place) -> str:
    where = place(location)
    if isinstance(where, S3Path):
        if (where / UNFINISHED).is_file():
            return "a store whose upload was cut short"
        return "objects that are no Zarr hierarchy" if where.is_dir() else "nothing there"
    return "a file or folder that is no Zarr hierarchy" if os.path.lexists(where) else "nothing there"


def _check_vacant(final: Place, overwrite: bool) -> bool:
    """Whether there is something to replace: only what this program made, and only when told to, else InputError."""
    if isinstance(final, S3Path):
        there = {each.key.removeprefix(f"{final.key}/") for each in final.below()} - {LOCK}
        if not there or (UNFINISHED in there and ROOT not in there):
            return False
    elif not (final.exists() or final.is_symlink()):
        return False
    if not overwrite:
        raise InputError(
            "There is something under the store's name already.",
            where=f"store {final}",
            expected="a new name",
            found="an existing file or folder",
            do="Choose another name, or replace it with --overwrite.",
        )
    linked = isinstance(final, Path) and final.is_symlink()
    if linked or _root_attributes(final).get("format") != FORMAT:
        raise _no_store(final, "a link, or a folder made by something else, which is never replaced")
    return True


def _is_sound(store: Store, scan: Scan) -> bool:
    try:
        store.read(scan.scan_id)
        return _asked(store.location, lambda: dict(_open(store, f"scans/{scan.scan_id}").attrs)) == _entry(
            scan
        )
    except (DamagedStore, *DAMAGE):
        return False


def _open(store: Store, path: str) -> zarr.Group:
    return zarr.open_group(zarr_store(store.location), path=path, mode="r", zarr_format=3)


def _unlisted(store: Store) -> list[str]:
    listed = {scan.scan_id for scan in store.scans}
    try:
        return _asked(store.location, lambda: sorted(set(_open(store, "scans").group_keys()) - listed))
    except DAMAGE as error:
        raise _damaged(store.location, None, f"metadata that cannot be read ({_kind(error)})") from None


def _entry(scan: Scan) -> dict[str, Any]:
    """The scan as JSON values (lists for tuples), as it stands in the attributes."""
    return json.loads(json.dumps(asdict(scan), allow_nan=False))


def _scan_from(entry: dict[str, Any]) -> Scan:
    tuples = ("lesion_px", "source_lesion_px", "spacing_mm")
    affine = tuple(tuple(row) for row in entry["affine"])
    return Scan(**{**entry, **{name: tuple(entry[name]) for name in tuples}, "affine": affine})


def _store_digest(index: dict[str, Any]) -> str:
    return hash_of({"format": FORMAT, "schema_version": SCHEMA_VERSION, **index})


def _kind(error: Exception) -> str:
    return type(error).__name__


def _no_store(location: str | Place, found: str) -> InputError:
    return InputError(
        "This is no store.",
        where=f"store {location}",
        expected="a store made by hnscc prepare",
        found=found,
        do="Check the path, or make the store: hnscc prepare MANIFEST STORE.",
    )


def _damaged(location: str | Place, scan_id: str | None, found: str) -> DamagedStore:
    return DamagedStore(
        "The store is damaged." if scan_id is None else f"Scan {scan_id} of the store is damaged.",
        where=f"store {location}" + ("" if scan_id is None else f", scan {scan_id}"),
        expected="the content that was written, by its checksums and digest",
        found=found,
        do="Run hnscc verify on it to see what is affected, then prepare it again or restore it from a copy.",
    )
