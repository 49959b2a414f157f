"""What `hnscc scan` prints: a row per series of a folder of DICOM, or the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnscc.base.console import print_line, print_rows, terminal

if TYPE_CHECKING:
    from data_prep.dicom.listing import ListedSeries, Listing

_COLUMNS = ("patient", "scan", "series", "kind", "slices", "voxels", "mm", "plane", "remarks")


def print_listing(listing: Listing, manifest: Path | None, as_json: bool) -> None:
    """Print the series, what could not be read, what to look at in the manifest, and what to do next."""
    if as_json:
        print(json.dumps(listing_facts(listing), indent=1))
        return
    console = terminal()
    print_rows(console, _COLUMNS, [_row(each) for each in listing.series], numbers=["slices"])
    patients = len({each.patient for each in listing.series})
    scans = len({each.scan for each in listing.series})
    print_line(console, f"{patients} patients, {scans} scans, {len(listing.series)} series")
    if listing.unreadable:
        print_line(console, f"DICOM files that could not be read: {listing.unreadable}", style="yellow")
    for note in listing.notes:
        print_line(console, f"look at {note}", style="yellow")
    if manifest is None:
        print_line(console, "next:  hnscc scan FOLDER --manifest manifest.csv")
        return
    print_line(
        console, f"wrote {manifest}\nnext:  {_to_do(listing)}hnscc prepare {manifest} {manifest.stem}.zarr"
    )


def _to_do(listing: Listing) -> str:
    """What comes before `hnscc prepare`."""
    if not listing.to_fill_in:
        return ""
    scans = len(listing.to_fill_in)
    said = f"the mask of {scans} scan{'s' * (scans > 1)} says FILL-IN"
    return f"{said}: write a mask there, or none where there is no lesion; then\n       "


def listing_facts(listing: Listing) -> dict[str, Any]:
    """Return the same for a program: the series with all that is known of them, and no path, id or UID."""
    names = ("patient", "scan", "key", "modality", "kind", "files", "slices", "shape", "spacing_mm", "plane")
    return {
        "series": [
            {name: getattr(each, name) for name in (*names, "regions", "fault")} for each in listing.series
        ],
        "unreadable": listing.unreadable,
        "notes": list(listing.notes),
        "to_fill_in": list(listing.to_fill_in),
    }


def _row(series: ListedSeries) -> list[str]:
    return [
        series.patient,
        series.scan,
        f"#{series.key}",
        f"{series.modality}: {series.kind}" if series.modality else series.kind,
        str(series.slices),
        " x ".join(map(str, series.shape)),
        " x ".join(f"{step:.4g}" for step in series.spacing_mm),
        series.plane,
        series.fault or ", ".join(series.regions),
    ]
