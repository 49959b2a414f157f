"""Prints the result of `hnscc scan`: a row per series of DICOM and per other volume of a folder, or the same
as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnscc.base.console import print_line, print_rows, terminal
from hnscc.base.in_words import as_typed, count_of, noun_of

if TYPE_CHECKING:
    from data_prep.dicom.series_in_folder import ListedSeries
    from data_prep.manifest.folder import FolderListing
    from data_prep.manifest.listed import ListedFile
    from hnscc.commands.new_study import Begun

_COLUMNS = ("patient", "scan", "series", "kind", "slices", "voxels", "mm", "plane", "remarks")
_FILE_COLUMNS = ("patient", "scan", "taken for", "numbers", "voxels", "mm", "plane", "remarks")


def print_listing(listing: FolderListing, manifest: Path | None, as_json: bool) -> None:
    """Print series and files, what could not be read, what to look at in the manifest, and what to do next."""
    if as_json:
        print(json.dumps(listing_facts(listing), indent=1))
        return
    console = terminal()
    if listing.series:
        print_rows(console, _COLUMNS, [_row(each) for each in listing.series], numbers=["slices"])
    if listing.files:
        print_rows(console, _FILE_COLUMNS, [_file_row(each) for each in listing.files])
    print_line(console, _counts(listing))
    for line in _left_over(listing):
        print_line(console, line, style="yellow")
    for note in listing.notes:
        print_line(console, f"look at {note}", style="yellow")
    if manifest is None:
        print_line(console, "next:  hnscc scan FOLDER --manifest manifest.csv")
        return
    prepare = f"hnscc prepare {as_typed(manifest)} {as_typed(f'{manifest.stem}.zarr')}"
    print_line(console, f"wrote {manifest}\nnext:  {_to_do(listing)}{prepare}")


def print_begun(begun: Begun) -> None:
    """Print what was written for a folder of scans, what to look at in it, and the next two commands."""
    console, listing = terminal(), begun.listing
    print_line(console, _counts(listing))
    for line in _left_over(listing):
        print_line(console, line, style="yellow")
    for note in listing.notes:
        print_line(console, f"look at {note}", style="yellow")
    print_line(console, f"wrote {begun.manifest}\nwrote {begun.study}")
    prepare = f"hnscc prepare {as_typed(begun.manifest)} {as_typed(begun.store)}"
    print_line(console, f"next:  {_to_do(listing)}{prepare}")
    print_line(console, f"then:  hnscc check {as_typed(begun.study)}")


def _counts(listing: FolderListing) -> str:
    patients = {each.patient for each in listing.series} | {each.patient for each in listing.files}
    scans = {each.scan for each in listing.series} | {each.scan for each in listing.files}
    parts = [count_of(len(patients - {""}), "patient"), count_of(len(scans - {""}), "scan")]
    parts += [f"{len(listing.series)} series"] if listing.series else []
    parts += [count_of(len(listing.files), "file")] if listing.files else []
    return ", ".join(parts)


def _left_over(listing: FolderListing) -> list[str]:
    lines = []
    if listing.unreadable:
        lines.append(f"DICOM files that could not be read: {listing.unreadable}")
    if none := sum(not each.column for each in listing.files):
        lines.append(f"files that are taken for nothing, for the reason that stands beside them: {none}")
    if listing.others:
        told = ", ".join(f"{count} of {ending}" for ending, count in sorted(listing.others.items()))
        lines.append(f"files of kinds that are not read: {told}")
    return lines


def _to_do(listing: FolderListing) -> str:
    """Say what has to be done before `hnscc prepare`."""
    said = []
    if scans := len(listing.to_fill_in):
        said.append(
            f"the mask of {count_of(scans, 'scan')} says FILL-IN: write a mask there, or none where there is no "
            "lesion; then"
        )
    if scans := len(listing.without_region):
        holds = count_of(scans, "mask holds", "masks hold")
        said.append(f"{holds} several regions: write the lesion's name into the column roi; then")
    if scans := len(listing.without_image):
        lacks = count_of(scans, "scan lacks", "scans lack")
        said.append(f"{lacks} an image: fill the empty {noun_of(scans, 'cell')}; then")
    return "".join(f"{each}\n       " for each in said)


def listing_facts(listing: FolderListing) -> dict[str, Any]:
    """Return the same for programs: series and files with all that is known of them, but no path, id or UID."""
    names = ("patient", "scan", "key", "modality", "kind", "files", "slices", "shape", "spacing_mm", "plane")
    of_file = (
        "patient",
        "scan",
        "column",
        "modality",
        "by",
        "numbers",
        "shape",
        "spacing_mm",
        "plane",
        "remark",
    )
    return {
        "series": [
            {name: getattr(each, name) for name in (*names, "regions", "fault")} for each in listing.series
        ],
        "files": [{name: getattr(each, name) for name in of_file} for each in listing.files],
        "unreadable": listing.unreadable,
        "others": listing.others,
        "notes": list(listing.notes),
        "to_fill_in": list(listing.to_fill_in),
        "without_region": list(listing.without_region),
        "without_image": list(listing.without_image),
    }


def _row(series: ListedSeries) -> list[str]:
    return [
        series.patient,
        series.scan,
        f"#{series.key}",
        f"{series.modality}: {series.kind}" if series.modality else series.kind,
        "" if series.is_mask else str(series.slices),
        *_geometry(series),
        series.fault or ", ".join(series.regions),
    ]


def _file_row(file: ListedFile) -> list[str]:
    taken = f"{file.column} of {file.modality}" if file.modality else file.column
    return [
        file.patient or "?",
        file.scan or "?",
        taken or "nothing",
        file.numbers,
        *_geometry(file),
        file.remark,
    ]


def _geometry(each: ListedSeries | ListedFile) -> list[str]:
    return [
        " x ".join(map(str, each.shape)),
        " x ".join(f"{step:.4g}" for step in each.spacing_mm),
        each.plane,
    ]
