"""A slice store that is being built: in a folder beside its name, which is renamed once it is whole, or uploaded to S3.

An upload ends with the root's zarr.json. Until then there is no store at its name, neither the old nor the new one.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from hnscc.base.arrays import Images, Masks
from hnscc.base.errors import InputError
from hnscc.base.files import write_errors
from hnscc.base.folders import make_unfinished, put_in_place
from hnscc.base.in_words import count_of
from hnscc.base.locations import ZARR_ROOT, Location, S3Path, entries_of
from hnscc.base.locks import only_one
from hnscc.base.steps import Progress
from hnscc.cohort.placement import CohortPlacement, DrawnFacts
from hnscc.cohort.store import Store, open_store
from hnscc.cohort.store_as_found import no_store, root_attributes
from hnscc.cohort.store_format import (
    FORMAT,
    LOCK,
    PAGE,
    SCANS_GROUP,
    SCHEMA_VERSION,
    UNFINISHED,
    DrawnMask,
    Scan,
    ScanFacts,
    content_digest,
    drawn_digest,
    index_entry,
    scan_path,
    store_digest,
    zarr_store,
)

UPLOADS_AT_ONCE = 4
DELETIONS, LOOKS, SECONDS_BETWEEN_DELETIONS = 30, 3, 0.1


@dataclass(frozen=True)
class UnfinishedStore:
    """A store that is being built. folder: where it is built; final: its final place; overwrite: whether a store at
    that place is replaced."""

    folder: Path
    final: Location
    overwrite: bool


def begin_store(final: Location, overwrite: bool) -> UnfinishedStore:
    """Make an empty, unfinished store beside its final name, or in a temporary folder if that is on S3.

    InputError is raised if `final` exists and must not be replaced, or was made by something else, and where nothing
    can be written; StorageError where the disk is full. The unfinished store is then removed.
    """
    folder = Path(tempfile.gettempdir()) if isinstance(final, S3Path) else final.parent
    with write_errors(folder), ExitStack() as undo:
        _check_vacant(final, overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        name = "hnscc-store" if isinstance(final, S3Path) else f".{final.name}"
        unfinished = make_unfinished(folder, name)
        undo.callback(discard, unfinished)
        if isinstance(final, S3Path):
            unfinished.chmod(0o700)  # the temporary folder is visible to all users of the machine
        zarr.create_group(zarr_store(unfinished), zarr_format=3)
        zarr.create_group(zarr_store(unfinished), path=SCANS_GROUP, zarr_format=3)
        undo.pop_all()
    return UnfinishedStore(unfinished, final, overwrite)


def discard(unfinished: Path) -> None:
    """Delete the folder of a store that was given up; what cannot be deleted stays. After a store has become whole, its
    folder is gone, and this returns at once."""
    if not unfinished.exists():
        return
    # Zarr writes with threads. After one has failed, another may still write for a moment into the folder that is being
    # deleted, or make it again. So it counts as gone only if it is absent several times in a row.
    looks = 0
    for _ in range(DELETIONS):
        looks = 0 if unfinished.exists() else looks + 1
        if looks == LOOKS:
            return
        shutil.rmtree(unfinished, ignore_errors=True)
        time.sleep(SECONDS_BETWEEN_DELETIONS)


def write_scan(
    folder: Path, images: Images, mask: Masks, facts: ScanFacts, *, drawn: DrawnMask | None = None
) -> Scan:
    """Write images (Z, C, H, W) float32, in raw values, and mask (Z, H, W) uint8, 0 and 1, of one scan, and return
    its entry.

    folder: of the unfinished store. drawn: the mask as it was drawn, if it is to be kept; the scan's placement then
    says where it lies. Scans may be written by several processes at once. ValueError is raised where shapes or dtypes
    are others; StorageError where the disk is full.
    """
    _check_arrays(images, mask)
    arrays: dict[str, NDArray[Any]] = {"images": images, "mask": mask}
    if drawn is not None:
        arrays["drawn"] = drawn.voxels.astype(np.uint8)
        facts = replace(facts, placement={**facts.placement, "drawn": _facts_of(drawn, arrays["drawn"])})
    scan = Scan(
        **vars(facts),
        slices=len(mask),
        lesion_px=tuple(int(count) for count in mask.sum(axis=(1, 2), dtype=np.int64)),
        digest=content_digest(images, mask),
    )
    entry = index_entry(scan)
    with write_errors(folder.parent):
        target = zarr_store(folder)
        group = zarr.create_group(target, path=scan_path(scan.scan_id), attributes=entry, zarr_format=3)
        for name, values in arrays.items():
            _write_array(group, name, values)
    return scan


def _check_arrays(images: Images, mask: Masks) -> None:
    """Raise ValueError unless images are float32 (Z, C, H, W), in any unit of values, and the mask is uint8 (Z,
    H, W)."""
    fits = images.shape[:1] + images.shape[2:] == mask.shape
    if images.dtype != np.float32 or mask.dtype != np.uint8 or not fits:
        raise ValueError(
            "images must be (Z, C, H, W) float32 and the mask (Z, H, W) uint8 of the same slices, not "
            f"{images.shape} {images.dtype} and {mask.shape} {mask.dtype}; convert them with astype"
        )


def _facts_of(drawn: DrawnMask, voxels: Masks) -> DrawnFacts:
    """Return how a mask lies as it was drawn. voxels: its own, uint8 (Z, Y, X), 0 and 1, as they are stored."""
    rows = [list(row) for row in drawn.affine]
    return DrawnFacts(on=drawn.on, shape=list(voxels.shape), affine=rows, digest=drawn_digest(voxels))


def read_written(unfinished: Path, scan_id: str, name: str) -> NDArray[Any]:
    """Return an array of a scan as `write_scan` has written it: images (Z, C, H, W), raw values, or mask (Z, H, W)."""
    return np.asarray(zarr.open_array(zarr_store(unfinished), path=scan_path(scan_id, name), mode="r")[...])


def finish_store(
    unfinished: UnfinishedStore,
    *,
    modalities: tuple[str, ...],
    size: int,
    placed: CohortPlacement,
    scans: list[Scan],
    page: Callable[[Store], str] | None = None,
    progress: Progress | None = None,
) -> Store:
    """Write the root's attributes, rename the store to its final name or upload it there, and open it.

    `size` is the height and width of slices in pixels, `placed` how the scans were placed and resized. `page` makes the
    HTML that is kept beside the scans (PAGE); it is given the store before that has its final name. InputError is
    raised if something exists at that name, unless it is a store that may be replaced, and StorageError where the disk
    is full; what was there then stays as it was.
    """
    folder, final = unfinished.folder, unfinished.final
    entries = [index_entry(scan) for scan in sorted(scans, key=lambda scan: scan.scan_id)]
    index = {"modalities": list(modalities), "size": size, "placed": placed, "scans": entries}
    head = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "digest": store_digest(index)}
    with write_errors(folder.parent):
        root = zarr.open_group(zarr_store(folder), mode="r+", zarr_format=3)
        root.update_attributes({**head, **index})
        if page:
            (folder / PAGE).write_text(page(open_store(folder)), encoding="utf-8")
        if not isinstance(final, S3Path):
            _check_vacant(final, unfinished.overwrite)
            if replaced := put_in_place(folder, final):
                shutil.rmtree(replaced)
    if isinstance(final, S3Path):
        _upload(folder, final, unfinished.overwrite, progress)
        shutil.rmtree(folder)
    return open_store(final)


def _upload(folder: Path, final: S3Path, overwrite: bool, progress: Progress | None) -> None:
    """Upload a store. The root's zarr.json of an old store is deleted first, and that of the new one is written last.

    An upload that was cut short leaves UNFINISHED behind, and the same command starts again.
    """
    tell = progress or (lambda done, total, text: None)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    root = files.pop(ZARR_ROOT)
    with only_one(final / LOCK):
        _check_vacant(final, overwrite)
        (final / UNFINISHED).write_bytes(FORMAT.encode())
        (final / ZARR_ROOT).unlink(missing_ok=True)
        for each in (final / SCANS_GROUP).below():
            if each.key.removeprefix(f"{final.key}/") not in files:
                each.unlink(missing_ok=True)
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            uploads = pool.map(lambda name: (final / name).write_bytes(files[name].read_bytes()), files)
            for done, _ in enumerate(uploads, start=1):
                tell(done, len(files), "uploading")
        (final / ZARR_ROOT).write_bytes(root.read_bytes())
        (final / UNFINISHED).unlink(missing_ok=True)


def _write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Write values (Z, ...), of any type and unit of values: one chunk per slice (first axis), and one shard for all
    of them."""
    # All chunks are written at once: one after another they take half as long again.
    with zarr.config.set({"codec_pipeline.batch_size": len(values)}):
        _create_array(group, name, values)[...] = values


def _create_array(group: zarr.Group, name: str, values: NDArray[Any]) -> zarr.Array[Any]:
    """Make an array for values (Z, ...), of any type and unit of values, with one shard, and a chunk for each slice."""
    return group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, *values.shape[1:]),
        shards=values.shape,
        # The crc comes last and covers the compressed bytes: Zarr's default codecs return wrong data on a flipped bit.
        compressors=[
            # This is the lowest level: a higher one takes twice the time and saves 1 % of the size.
            BloscCodec(typesize=values.itemsize, cname="zstd", clevel=1, shuffle="shuffle"),
            Crc32cCodec(),
        ],
        # Without this, a slice of only zeros (most masks) would not be written, and would look like a chunk that
        # got lost.
        config={"write_empty_chunks": True},
    )


def _check_vacant(final: Location, overwrite: bool) -> None:
    """Raise InputError where something exists at the final name. It may be replaced only if this program made it, and
    only when told to."""
    names = entries_of(final)
    if isinstance(final, S3Path):
        names -= {LOCK}
        if not names or (UNFINISHED in names and ZARR_ROOT not in names):
            return
    elif any((each / ZARR_ROOT).is_file() for each in final.parents):
        raise InputError(
            "The store would lie within another one.",
            where=f"store {final}",
            expected="a place outside of every store",
            found="a store around it",
            do="Choose another place.",
        )
    elif not (final.exists() or final.is_symlink()):
        return
    if not overwrite:
        raise InputError(
            "There is something under the store's name already.",
            where=f"store {final}",
            expected="a new name",
            found="an existing file or folder",
            do="Choose another name, or replace it with --overwrite.",
        )
    linked = isinstance(final, Path) and final.is_symlink()
    if linked or root_attributes(final).get("format") != FORMAT:
        raise no_store(final, "a link, or a folder made by something else, which is never replaced")
    others = len(names - {ZARR_ROOT, SCANS_GROUP, PAGE})
    if others and not isinstance(final, S3Path):  # on S3 only scans are deleted
        raise InputError(
            "The folder of the store holds something else, which would be deleted with it.",
            where=f"store {final}",
            expected="a store and nothing beside it",
            found=count_of(
                others,
                "file or folder that prepare did not write",
                "files or folders that prepare did not write",
            ),
            do="Take out what is yours, or choose another name.",
        )
