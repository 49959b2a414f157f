"""The functions behind the commands that make and check a cohort: phantom, fetch, scan, prepare, verify.

Besides the errors that `study_api` describes, `phantom` and `prepare` raise WorkerError where one of their
processes died.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.phantom import PATIENTS, SEED
from data_prep.settings import PrepareSettings

if TYPE_CHECKING:
    from data_prep.manifest.folder import FolderListing
    from hnscc.base.steps import Progress
    from hnscc.cohort.store import Store


def phantom(
    out: str | Path, *, patients: int = PATIENTS, seed: int = SEED, progress: Progress | None = None
) -> Path:
    """Make a synthetic PET-MRI cohort with a known truth, and return the path of its manifest.csv.

    This writes NIfTI files and manifest.csv into the new folder `out` (on a disk), or nothing. patients: 12 or more; 44
    have 62 scans, 18 of them with lesion. seed: the same seed gives the same files. progress: called with the number of
    scans done, their total, and the id of the current one. It uses one process per core: in a script, call it below `if
    __name__ == "__main__":`. InputError: fewer than 12 patients, or `out` is not empty.
    """
    from data_prep.phantom.phantom import make_phantom
    from hnscc.base.locations import check_places

    check_places(out=out)
    return make_phantom(out, patients=patients, seed=seed, progress=progress)


def fetch(cohort: str, out: str | Path, *, copy: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a public cohort into the folder `out` (on a disk), and return the path of its manifest.csv.

    cohort: "sts", 34 patients with soft-tissue sarcoma, FDG-PET and T1 MR with lesion masks as NIfTI, 71 MB, CC BY 3.0
    (the IBSI validation data set); README.txt says what to cite. The files come from GitHub, which is also asked where
    they are, or, with `copy`, from the http(s) address of a copy of such a folder. Checksums are compared. A file that
    is there already is not fetched again; one with other content is refused. progress: called with the number of files
    that are there, their total, and the path of the one fetched last. InputError: another cohort's name, or the network
    does not give a file or gives a wrong one. Whole files stay, and the same call continues.
    """
    from data_prep.public.fetch import fetch_sts
    from hnscc.base.errors import InputError
    from hnscc.base.locations import check_places

    if cohort != "sts":
        raise InputError(
            "There is no public cohort of that name.",
            where="COHORT",
            expected="sts",
            found=str(cohort),
            do="write `hnscc fetch sts DIR`",
        )
    check_places(out=out)
    return fetch_sts(out, copy=copy, progress=progress)


def prepare(
    manifest: str | Path,
    store: str | Path,
    *,
    size: int = PrepareSettings.size,
    pixel_mm: float | None = PrepareSettings.pixel_mm,
    reference: str | None = PrepareSettings.reference,
    workers: int | None = PrepareSettings.workers,
    overwrite: bool = PrepareSettings.overwrite,
    accept_odd: str | None = PrepareSettings.accept_odd,
    suv: str = PrepareSettings.suv,
    register: str | None = PrepareSettings.register,
    progress: Progress | None = None,
) -> Store:
    """Place, resize and store every slice of every scan of a manifest, and return the store, opened.

    The store holds images float32 (Z, C, H, W) in the files' units of values and masks uint8 (Z, H, W), H = W = size.
    Next to the scans it holds prepare.html, one file for people to look at the cohort: histograms, pictures and the
    geometry of every scan, and what is odd.

    - manifest: a CSV with patient_id, scan_id, mask and a column per modality, on a disk.
    - store: where the Zarr hierarchy is written, whole or not at all.
    - size: pixels of a slice's side, 8 to 4096.
    - pixel_mm: the pixel size, 0.01 to 100 mm, by cropping and padding; None keeps the whole field of view.
    - reference: the modality whose grid is used; None takes the one on which the masks are drawn.
    - workers: processes, 1 to 4096; None for one per core. Each holds one scan at a time; with more than one, in a
      script, call it below `if __name__ == "__main__":`.
    - overwrite: replace an existing store.
    - accept_odd: the reason why scans that differ oddly from the others (by another unit of values, say) are right; the
      store keeps it, and `store.odd` says what was odd.
    - suv: how PET of DICOM is converted to SUV, "bw" (body weight) or "lbm" (lean body mass).
    - register: "rigid" aligns every modality that does not share the reference's DICOM frame of reference, or states
      none, with the reference by a rigid registration (mutual information); each scan's `placement["registered"]` says
      how far it was moved and how well it fits. "none" uses all images as their files place them. None does so too, but
      refuses images in different frames.
    - progress: called with the number of scans done, their total, and the id of the current one.

    InputError says what is wrong with the manifest and with every scan, with row and column, all at once.
    """
    from data_prep.build import build_store
    from hnscc.base.locations import check_places
    from hnscc.commands.cohort_page import page_of

    check_places(manifest=manifest, store=store)
    settings = PrepareSettings(
        size=size,
        pixel_mm=pixel_mm,
        reference=reference,
        workers=workers,
        overwrite=overwrite,
        accept_odd=accept_odd,
        suv=suv,
        register=register,
    )
    return build_store(manifest, store, settings, page=page_of(store), progress=progress)


def scan(
    folder: str | Path,
    *,
    manifest: str | Path | None = None,
    pseudonyms: str | Path | None = None,
    prefer: Sequence[str] = (),
    progress: Progress | None = None,
) -> FolderListing:
    """List what a folder of scans, and those below it, hold: patients under pseudonyms, scans, series and files.

    Every series of DICOM is listed with its modality, geometry and regions, or with the reason why it cannot be read.
    Every other volume (NIfTI, Analyze, NRRD, MetaImage, MGZ) is listed with its geometry, the type of its numbers, and
    what it is assumed to be. Only headers are read. For files that are not DICOM, the words of the path tell the
    patient, the visit and what the file shows; a mask may also be known by its header. Where several files may fill a
    cell, none is taken.

    manifest: where a manifest for `prepare` is written. Then, of the result, `notes` says what to look at in it,
    `to_fill_in` are the scans without a mask, whose cell FILL-IN `prepare` refuses until you have filled it in,
    `without_region` are those whose mask holds several regions, one of which column `roi` must name, and
    `without_image` are those with an empty cell. pseudonyms: a CSV of pseudonyms and the patients' ids (PatientID of
    DICOM, else the words of the path), which identifies patients. Existing pseudonyms are kept, new ones added, and
    only the owner may read the file; None writes none. prefer: patterns of names of files, or of regions of DICOM, such
    as "*T1_mask*"; of several files for a cell, those that match the first pattern with a match are taken. progress:
    called with the number of files done and their total. InputError where nothing can be read, the manifest exists
    already, or the pseudonyms are no such table.
    """
    from data_prep.manifest.folder import list_scans_below, scans_in
    from data_prep.manifest.made import (
        check_new,
        read_pseudonyms,
        taken_back_unless_done,
        with_notes,
        write_manifest,
        write_pseudonyms,
    )
    from hnscc.base.argument_checks import check_list
    from hnscc.base.locations import check_places

    check_list("prefer", prefer, "a list of patterns")
    check_places(folder=folder)
    if manifest is not None:
        check_places(manifest=manifest)
        check_new(Path(manifest))
    if pseudonyms is not None:
        check_places(pseudonyms=pseudonyms)
    _refuse_one_file(manifest, pseudonyms)
    known = read_pseudonyms(Path(pseudonyms)) if pseudonyms is not None else {}
    listing = list_scans_below([Path(folder)], known, progress)
    with contextlib.ExitStack() as undone:
        if manifest is not None:
            made = write_manifest(scans_in(listing, prefer), Path(manifest))
            undone.enter_context(taken_back_unless_done(Path(manifest)))
            listing = with_notes(listing, made)
        if pseudonyms is not None:
            write_pseudonyms(listing.pseudonyms, Path(pseudonyms))
    return listing


def _refuse_one_file(manifest: str | Path | None, pseudonyms: str | Path | None) -> None:
    """Raise InputError where both are the same file: the table of pseudonyms would replace the manifest."""
    from hnscc.base.errors import InputError

    if (
        manifest is not None
        and pseudonyms is not None
        and Path(manifest).resolve() == Path(pseudonyms).resolve()
    ):
        raise InputError(
            "The manifest and the table of pseudonyms are one file.",
            where="--manifest and --pseudonyms",
            expected="a file for each: the manifest goes to whoever trains, the table to nobody",
            found="the same path twice",
            do="name another file with --pseudonyms",
        )


def verify(store: str | Path, *, progress: Progress | None = None) -> Store:
    """Read every chunk of a store, compare it with its checksums and digests, and return the store, opened.

    This writes nothing. progress: called with the number of scans done, their total, and the id of the current one.
    InputError names every damaged scan.
    """
    from hnscc.base.locations import check_places
    from hnscc.cohort.store import open_store, verify_store

    check_places(store=store)
    opened = open_store(store)
    verify_store(opened, progress)
    return opened
