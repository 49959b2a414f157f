"""What the files of a slice store hold: scans, their entries in the index, digests.

    scans/<scan>/images   float32 (Z, C, H, W), raw values (DICOM PET: SUV); a chunk per slice, a shard per scan
    scans/<scan>/mask     uint8 (Z, H, W), 1 where lesion
    scans/<scan>/drawn    uint8 (Z, Y, X), the mask as it was drawn, on that grid; older stores have none
    scans/<scan>          attributes: the scan's entry of the root's index
    prepare.html          for people: how the cohort looks; no digest covers it, and no program reads it
    (root)                attributes: schema version, modalities in order, slice size, how it was placed, the
                          index of all scans, and the store's digest

Slices are transaxial and shown as in radiology: rows run to posterior, columns to the patient's left, z to
superior. Every chunk has a crc32c; since a deleted chunk reads as zeros, every scan also has a digest of its
content, and the store's digest covers the index, so that nothing can be damaged or exchanged unnoticed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from obstore.store import S3Store
from zarr.storage import LocalStore, ObjectStore

from hnscc.base.arrays import Bools, Images, Masks, Spacing
from hnscc.base.files import hash_of
from hnscc.base.locations import Location, S3Path, client, locate
from hnscc.cohort.placement import Placement, unseen_slices

FORMAT = "hnscc-slice-store"
SCHEMA_VERSION = 1
PAGE = "prepare.html"
# Files beside the scans of a store on S3 while it is uploaded: UNFINISHED says that this program uploads it, and LOCK
# keeps other uploads out.
UNFINISHED = ".unfinished"
LOCK = ".lock"
SCANS_GROUP = "scans"

# The units of values of PET: standardised by body weight, and by lean body mass.
SUV_UNITS = ("SUV", "SUV (lean body mass)")


@dataclass(frozen=True)
class DrawnMask:
    """A scan's mask as it was drawn, on the grid on which it was drawn, with the axes turned to LPS.

    voxels: bool (Z, Y, X). affine: 4 x 4, from an index (x, y, z) to mm, as `Scan.affine`; if that modality was
    registered, it lies as registered. on: the modality on whose grid it was drawn. For a scan without a mask this is
    None, and the mask is empty, on the grid of the reference modality.
    """

    voxels: Bools
    affine: tuple[tuple[float, ...], ...]
    on: str | None

    @property
    def spacing_mm(self) -> Spacing:
        """The distances between voxels along z, y and x, in mm."""
        x, y, z = (float(step) for step in np.linalg.norm(np.array(self.affine)[:3, :3], axis=0))
        return z, y, x


@dataclass(frozen=True, kw_only=True)
class Placing:
    """How each scan of a cohort is placed, including a scan that is new to its store (`Store.placing`).

    reference: the modality whose grid is used. size: side of the stored slices, in pixels. pixel_mm: the size of these
    pixels, None for the whole field of view. units_of_values: of each modality whose files all state one. suv: how PET
    of DICOM becomes SUV, bw or lbm; None where the store does not say. register: how modalities that do not lie
    together yet are registered to the reference (data_prep.settings.REGISTER), or None.
    """

    reference: str
    size: int
    pixel_mm: float | None
    units_of_values: Mapping[str, str] = field(default_factory=dict)
    suv: str | None = None
    register: str | None = None

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Self:
        """Return the `Placing` of what a store or a fold keeps (`Store.placing`), where its units of values are named
        `units`. TypeError for other names."""
        named = {"units_of_values" if name == "units" else name: value for name, value in kept.items()}
        return cls(**named)


@dataclass(frozen=True, kw_only=True)
class ScanFacts:
    """What is known of one scan apart from its stored slices: the parts of a `Scan` that are given to a store."""

    scan_id: str
    patient_id: str
    source_lesion_px: tuple[int, ...]
    spacing_mm: Spacing
    affine: tuple[tuple[float, ...], ...]
    placement: Placement
    split: str | None = None


@dataclass(frozen=True)
class Scan:
    """What is known of one scan of a store without reading its slices.

    `lesion_px` counts, for each slice, the lesion pixels of the stored mask; `source_lesion_px` those on the grid on
    which the mask was drawn. So a slice with some in the latter and none in the former lost its lesion in the resize.
    `spacing_mm` is that of the stored slices along z, y and x. `affine` is 4 x 4 and maps a stored index (x, y, z) to
    mm (x to right, y to anterior, z to superior, as in NIfTI).

    `placement` holds the facts that map a predicted mask back to the input grid (data_prep.placing.way_back), and what
    preparing found: hnscc.cohort.placement. `digest` is the SHA-256 of images and mask; the mask as drawn has its own,
    since no training depends on it. `split` is train, validation or test if the manifest fixes it.
    """

    scan_id: str
    patient_id: str
    slices: int
    lesion_px: tuple[int, ...]
    source_lesion_px: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]
    placement: Placement
    digest: str
    split: str | None

    @property
    def has_lesion(self) -> bool:
        """Whether its mask holds lesion as it was drawn. Wherever scans with lesion are counted, this is
        what counts."""
        return any(self.source_lesion_px)

    @property
    def positive_slices(self) -> int:
        """The number of stored slices with lesion. A scan with a small lesion may lose all of it in the resize."""
        return sum(px > 0 for px in self.lesion_px)

    def unseen(self, modalities: Iterable[str]) -> frozenset[int]:
        """Return the slices (z) that at least one of these modalities does not show; see `placement.unseen_slices`."""
        return unseen_slices(self.placement, modalities)


def scan_path(scan_id: str, array: str | None = None) -> str:
    """Return the path of a scan in its store, or of one of its arrays: images, mask or drawn."""
    return "/".join((SCANS_GROUP, scan_id, *([array] if array else [])))


def suv_modality(units_of_values: Mapping[str, str]) -> str | None:
    """Return the first modality whose values are SUV, of body weight or lean body mass, else None. units_of_values:
    that of each modality."""
    return next((name for name, unit in units_of_values.items() if unit in SUV_UNITS), None)


def index_entry(scan: Scan) -> dict[str, Any]:
    """Return the scan as JSON values (lists for tuples), as it stands in the attributes.

    ValueError where a number is NaN or infinite.
    """
    entry: dict[str, Any] = json.loads(json.dumps(vars(scan), allow_nan=False))
    return entry


def scan_of(entry: dict[str, Any]) -> Scan:
    """Return the scan of an entry that `index_entry` made."""
    tuples = {name: tuple(entry[name]) for name in ("lesion_px", "source_lesion_px", "spacing_mm")}
    return Scan(**{**entry, **tuples, "affine": tuple(tuple(row) for row in entry["affine"])})


def store_digest(index: dict[str, Any]) -> str:
    """Return the SHA-256 of the root's attributes without their digest. ValueError where a number is NaN
    or infinite."""
    return hash_of({"format": FORMAT, "schema_version": SCHEMA_VERSION, **index})


def content_digest(images: Images, mask: Masks) -> str:
    """Return the SHA-256 over shapes and little-endian bytes in C order of images (Z, C, H, W), in raw values, and mask
    (Z, H, W)."""
    digest = hashlib.sha256(f"{images.shape} {images.dtype} {mask.shape} {mask.dtype}".encode())
    digest.update(np.ascontiguousarray(images, dtype="<f4").data)
    digest.update(np.ascontiguousarray(mask).data)
    return digest.hexdigest()


def drawn_digest(voxels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 over the shape and the bytes in C order of a mask as drawn, (Z, Y, X) of 0 and 1."""
    digest = hashlib.sha256(f"{voxels.shape}".encode())
    digest.update(np.ascontiguousarray(voxels).data)
    return digest.hexdigest()


def zarr_store(location: str | Location) -> LocalStore | ObjectStore[S3Store]:
    """Return the Zarr store at a location; the only place that makes one. On S3 it can only read."""
    where = locate(location)
    if isinstance(where, S3Path):
        return ObjectStore(client(where.bucket, where.key), read_only=True)
    return LocalStore(where)
