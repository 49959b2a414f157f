"""Makes a store of a manifest: all scans or none, in parallel, and the same content for any number of workers."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from data_prep.manifest.manifest import Fault, Row, examine_manifest, raise_all
from data_prep.masks.mask_of_cell import Mask
from data_prep.oddities.copies import Kept, kept_of
from data_prep.oddities.judged import Reduced, judged, kept_oddities, reduce_images
from data_prep.oddities.oddity import MASK
from data_prep.oddities.orientation import lying_of
from data_prep.oddities.shared import copies_among
from data_prep.other_reference import with_reference
from data_prep.placing.gridded import MIN_COVERAGE
from data_prep.placing.place import PlacedScan, place_scan
from data_prep.row_files import choose_reference, volumes_of
from data_prep.settings import PrepareSettings
from data_prep.views import View, view_of
from data_prep.volumes.volume import CannotPlace
from data_prep.workers import run_each
from hnscc.base.cores import cores
from hnscc.base.errors import InputError
from hnscc.base.folders import at_work
from hnscc.base.locations import locate
from hnscc.base.steps import Progress
from hnscc.cohort.placement import CohortPlacement
from hnscc.cohort.store import Store
from hnscc.cohort.store_building import begin_store, discard, finish_store, write_scan
from hnscc.cohort.store_format import Placing, Scan, ScanFacts


class Page(Protocol):
    """Makes the page of a cohort, in HTML, from the whole store and the views of its scans, which come in any order."""

    def __call__(self, store: Store, views: Sequence[View]) -> str: ...


def build_store(
    manifest: str | Path,
    store: str | Path,
    settings: PrepareSettings,
    *,
    page: Page | None = None,
    progress: Progress | None = None,
) -> Store:
    """Read every scan of a manifest, place and resize it (data_prep.placing.place), and write the store.

    page: makes the page that shows the cohort; the store keeps that page (hnscc.cohort.store_format.PAGE). progress:
    called with the number of scans done, the number of all, and the current one's id.

    One InputError reports all faults of the manifest and of the scans. StorageError is raised where the disk is full,
    WorkerError where a process died. After any of these no store, and nothing unfinished, is left.
    """
    tell = progress or (lambda done, total, text: None)
    rows, faults = examine_manifest(manifest)
    if not rows:
        raise_all(faults)
    unfinished = begin_store(locate(store).absolute(), settings.overwrite)
    with at_work(unfinished.folder):
        try:
            reference, more = choose_reference(rows, settings.reference)
            faults = [*faults, *more]
            faulty = {line for line, _ in faults}
            left = [row for row in rows if row.line not in faulty]
            tell(0, len(left), "reading scans")
            each_scan = partial(
                prepare_scan,
                folder=unfinished.folder,
                reference=reference,
                settings=settings,
                view=page is not None,
            )
            workers = max(1, min(cores() if settings.workers is None else settings.workers, len(left)))
            answers = run_each(each_scan, left, name=lambda row: row.scan_id, workers=workers, progress=tell)
            written = _whole(left, answers, faults, reference, settings)
            return finish_store(
                unfinished,
                modalities=tuple(rows[0].files),
                size=settings.size,
                placed=_placed(rows, written, unfinished.folder, reference, settings),
                scans=[each.scan for each in written],
                page=partial(page, views=[each.view for each in written if each.view]) if page else None,
                progress=progress,
            )
        except InputError:  # no write has failed, so no thread of Zarr still writes or has to be waited for
            shutil.rmtree(unfinished.folder, ignore_errors=True)
            raise
        finally:
            discard(unfinished.folder)


@dataclass(frozen=True)
class PreparedScan:
    """A scan of the unfinished store, the part of its images that is kept to compare them, and its view for the page,
    if any."""

    scan: Scan
    images: Reduced
    view: View | None


class Unplaced(CannotPlace):
    """A scan that could not be placed: `fault` says why, `files` is what is kept of each file to find its copies."""

    def __init__(self, fault: CannotPlace, files: Sequence[Kept]) -> None:
        self.fault, self.files = fault, tuple(files)
        super().__init__(
            fault.problem, where=fault.where, expected=fault.expected, found=fault.found, do=fault.do
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Unplaced, (self.fault, self.files)


def _whole(
    rows: Sequence[Row],
    answers: Sequence[PreparedScan | InputError],
    faults: Sequence[Fault],
    reference: str,
    settings: PrepareSettings,
) -> list[PreparedScan]:
    """Return the scans that these rows became; InputError reports the faults found earlier together with those of
    these rows."""
    both = list(zip(rows, answers, strict=True))
    if found := [(row.line, each) for row, each in both if isinstance(each, InputError)]:
        read = [(row, each.images.files) for row, each in both if isinstance(each, PreparedScan)]
        read += [(row, each.files) for row, each in both if isinstance(each, Unplaced)]
        of_others = copies_among(read, {line for line, _ in found})
        faults = [*faults, *of_others, *with_reference(found, rows, reference, settings)]
    raise_all(faults)
    return [each for each in answers if not isinstance(each, InputError)]


def prepare_scan(
    row: Row, folder: Path, reference: str, settings: PrepareSettings, view: bool
) -> PreparedScan:
    """Read, place and write one scan in a worker process, and make its view where `view` is set.

    folder: that of the unfinished store. reference: the modality whose grid is used. InputError is raised where the
    scan cannot be read or placed.
    """
    volumes, mask = volumes_of(row, reference, settings.suv)
    placing = Placing(
        reference=reference, size=settings.size, pixel_mm=settings.pixel_mm, register=settings.register
    )
    try:
        placed = place_scan(
            volumes, mask.volume if mask else None, placing, where=row.where, show_before=view
        )
    except CannotPlace as fault:
        raise Unplaced(fault, [kept_of(each) for each in volumes.values()]) from None
    return write_placed(row, placed, mask, folder, view)


def write_placed(row: Row, placed: PlacedScan, mask: Mask | None, folder: Path, view: bool) -> PreparedScan:
    """Write a placed scan, and what its row and the file of its mask say of it. view: as in `prepare_scan`."""
    facts = ScanFacts(
        scan_id=row.scan_id,
        patient_id=row.patient_id,
        source_lesion_px=placed.source_lesion_px,
        spacing_mm=placed.spacing_mm,
        affine=placed.affine,
        placement={
            **placed.placement,
            "has_mask": row.mask is not None,
            "mask_told": list(mask.told) if mask else [],
            "lesion_free": _lesion_free(row, placed.source_lesion_px),
        },
        split=row.split,
    )
    scan = write_scan(folder, placed.images, placed.mask, facts, drawn=placed.lesion.drawn)
    seen = view_of(placed.images, placed.mask, scan, placed.before) if view else None
    whose = {name: volume.grid.whose for name, volume in placed.volumes.items()}
    whose |= {MASK: mask.whose} if mask else {}
    images = reduce_images(placed.images, placed.mask == 1, scan, placed.volumes)
    return PreparedScan(scan, replace(images, whose=whose), seen)


def _lesion_free(row: Row, lesion_px: Sequence[int]) -> str | None:
    """Return why a scan is taken as free of lesion; None where it has one. lesion_px: pixels per slice of the mask
    as drawn."""
    if row.mask is None:
        return "none in the manifest" if row.said_free else "an empty cell"
    return None if any(lesion_px) else "a mask without lesion"


def _placed(
    rows: Sequence[Row],
    written: Sequence[PreparedScan],
    folder: Path,
    reference: str,
    settings: PrepareSettings,
) -> CohortPlacement:
    """Return how all scans were placed, and what is odd about them. InputError is raised for what cannot be
    right (`judged`)."""
    scans = [each.scan for each in written]
    images = [each.images for each in written]
    odd = judged(rows, scans, images, folder, settings.accept_odd)
    return {
        **_how_placed(reference, settings),
        **_units(scans),
        **_lying(list(rows[0].files), images),
        **kept_oddities(odd, settings.accept_odd),
    }


def _how_placed(reference: str, settings: PrepareSettings) -> CohortPlacement:
    """Return how the scans were placed and resized, for the store's attributes."""
    placed: CohortPlacement = {
        "reference": reference,
        "pixel_mm": settings.pixel_mm,
        "suv": settings.suv,
        "field_of_view": "whole, padded to a square" if settings.pixel_mm is None else "cropped or padded",
        "orientation": "LPS: rows to posterior, columns to the patient's left, slices to superior",
        "resampling": "through the affines: linear, or the mean over the voxel where the grid is coarser",
        "images": "triangle filter, anti-aliased",
        "mask": "1 where lesion covers at least half of the pixel",
        "outside": "the volume's minimum",  # the value beyond the volume's faces
        "min_coverage": MIN_COVERAGE,
    }
    if settings.register:  # left out otherwise, so that the digests of other stores stay the same
        placed["register"] = settings.register
    return placed


def _units(scans: list[Scan]) -> CohortPlacement:
    """Return the unit of values of each modality whose files all state the same, for the store's attributes."""
    units: dict[str, str] = {}
    for name in scans[0].placement["values"]:
        stated = {scan.placement["values"][name].get("unit", "") for scan in scans}
        if len(stated) == 1 and stated != {""}:
            (units[name],) = stated
    return {"units": units} if units else {}


def _lying(modalities: Sequence[str], images: Sequence[Reduced]) -> CohortPlacement:
    """Return how most scans lie, for each modality whose scans look alike, for the store's attributes."""
    found = lying_of(modalities, [each.patterns for each in images])
    return {"lying": found} if found else {}
