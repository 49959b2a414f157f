"""Commands that make and check a cohort: phantom, fetch, scan, prepare, verify."""

from pathlib import Path
from typing import Annotated

import typer

from data_prep.phantom import PATIENTS, SEED
from data_prep.settings import PrepareSettings
from hnscc.base.in_words import as_typed
from hnscc.commands import cohort_api as api
from hnscc.commands.options import AsJson, Prefer

# The arguments and options of `prepare`.
Manifest = Annotated[Path, typer.Argument(help="CSV: patient_id, scan_id, mask, and a column per modality.")]
NewStore = Annotated[
    str, typer.Argument(help="New store, for example data/cohort.zarr or s3://bucket/cohort.zarr.")
]
Size = Annotated[int, typer.Option(help="Side of a stored slice in pixels.")]
PixelMm = Annotated[
    float | None, typer.Option(help="Pixel size in mm (then crop and pad); else the whole field of view.")
]
Reference = Annotated[
    str | None,
    typer.Option(help="Modality whose grid is used; else the one that the masks are drawn on."),
]
Workers = Annotated[int | None, typer.Option(help="Processes; one per core unless given.")]
Overwrite = Annotated[bool, typer.Option(help="Replace an existing store.")]
AcceptOdd = Annotated[
    str | None,
    typer.Option(
        metavar="REASON", help="Why scans that are odd against the others are right; the store keeps it."
    ),
]
Suv = Annotated[str, typer.Option(help="PET of DICOM becomes SUV: bw (body weight) or lbm (lean body mass).")]
Register = Annotated[
    str | None,
    typer.Option(
        help="rigid: lay modalities of other frames of reference, or that state none (NIfTI), on the reference's. "
        "none: they lie together whatever their frames."
    ),
]


def phantom(
    out: Annotated[Path, typer.Argument(help="New folder for the cohort.")],
    patients: Annotated[int, typer.Option(help="Number of patients, 12 or more.")] = PATIENTS,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = SEED,
) -> None:
    """Make a synthetic PET-MRI cohort with a known truth. Writes NIfTI files and manifest.csv into a new folder.

    Example: hnscc phantom data/phantom --patients 24
    """
    from hnscc.base.console import counted

    with counted("making scans") as tell:
        manifest = api.phantom(out, patients=patients, seed=seed, progress=tell)
    print(f"wrote {manifest}\nnext:  hnscc prepare {as_typed(manifest)} {as_typed(f'{out}.zarr')}")


def fetch(
    cohort: Annotated[str, typer.Argument(help="sts: soft-tissue sarcoma, 34 patients, FDG-PET and T1 MR.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for its files, on a disk.")],
    copy: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ADDRESS",
            help="Web address of a copy of such a folder, asked in place of GitHub.",
        ),
    ] = None,
) -> None:
    """Fetch a public cohort and its manifest. 71 MB, with licence and citations in README.txt.

    This command alone asks the network for data: api.github.com for where the files are, and
    raw.githubusercontent.com for the files; or ADDRESS. Every file's checksum is compared. Run again, it fetches what
    is missing. A proxy is named in HTTPS_PROXY.

    Example: hnscc fetch sts data/sts
    """
    from data_prep.public.sts import NOTICE
    from hnscc.base.console import counted

    with counted("fetching files") as tell:
        manifest = api.fetch(cohort, out, copy=copy, progress=tell)
    print(f"wrote {manifest}")
    print(f"read:  {manifest.with_name(NOTICE)}: its licence (CC BY 3.0), and what to cite")
    print(f"next:  hnscc prepare {as_typed(manifest)} {as_typed(f'{out}.zarr')} --pixel-mm 1.7")


def scan(
    folder: Annotated[Path, typer.Argument(help="Folder of scans; those below it are read too.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Write a manifest of its scans here, for `hnscc prepare`.")
    ] = None,
    pseudonyms: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of pseudonyms and patients' ids to keep and add to. It identifies patients.",
        ),
    ] = None,
    prefer: Prefer = None,
    as_json: AsJson = False,
) -> None:
    """List what a folder of scans holds, under pseudonyms. DICOM, NIfTI and others.

    Reads headers alone. Shows patients, scans, and each series of DICOM and each other volume with its geometry and
    what it is, or is taken for, or what keeps it from being read.

    Example: hnscc scan exports/ --manifest manifest.csv
    """
    from hnscc.base.console import counted
    from hnscc.commands.listing import print_listing

    with counted("reading headers") as tell:
        listing = api.scan(
            folder, manifest=manifest, pseudonyms=pseudonyms, prefer=prefer or (), progress=tell
        )
    print_listing(listing, manifest, as_json)


def prepare(
    manifest: Manifest,
    store: NewStore,
    size: Size = PrepareSettings.size,
    pixel_mm: PixelMm = PrepareSettings.pixel_mm,
    reference: Reference = PrepareSettings.reference,
    workers: Workers = PrepareSettings.workers,
    overwrite: Overwrite = PrepareSettings.overwrite,
    accept_odd: AcceptOdd = PrepareSettings.accept_odd,
    suv: Suv = PrepareSettings.suv,
    register: Register = PrepareSettings.register,
    as_json: AsJson = False,
) -> None:
    """Place, resize and store every slice of every scan. If one scan is refused, no store is written.

    Ends with a table of the cohort: values, lesions, coverage, what was assumed, and what is odd. The store holds a
    page with pictures of every scan too, prepare.html: look at it.

    Example: hnscc prepare data/phantom/manifest.csv data/phantom.zarr --pixel-mm 1.7
    """
    from data_prep.build import build_store
    from hnscc.base.console import counted, terminal
    from hnscc.base.locations import locate
    from hnscc.cohort.store_format import PAGE
    from hnscc.commands.cohort_page import page_of
    from hnscc.commands.prepared_cohort import print_cohort, store_facts
    from hnscc.commands.printing import print_store

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
    with counted("preparing scans") as tell:
        made = build_store(manifest, store, settings, page=page_of(store), progress=tell)
    if not as_json:
        print_cohort(made, terminal())
    print_store(store_facts(made), as_json)
    if not as_json:
        print(f"look:  {locate(store) / PAGE}")
        print(
            f"next:  hnscc init {as_typed(store)} STUDY; "
            f"or hnscc check STUDY, with `store: {store}` in a study file"
        )


def verify(
    store: Annotated[
        str, typer.Argument(help="A store, for example data/cohort.zarr or s3://bucket/cohort.zarr.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check every chunk of a store against its checksums and digests. Names every damaged scan; writes nothing.

    Example: hnscc verify data/phantom.zarr
    """
    from hnscc.base.console import counted
    from hnscc.commands.prepared_cohort import store_facts
    from hnscc.commands.printing import print_store

    with counted("verifying scans") as tell:
        opened = api.verify(store, progress=tell)
    print_store(store_facts(opened), as_json)
    if not as_json:
        print("every chunk is as it was written")
