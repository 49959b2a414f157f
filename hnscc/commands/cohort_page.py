"""The page that `hnscc prepare` writes into the store, for people to look at the cohort before anything is trained.

It shows what `hnscc prepare` prints at its end (prepared_cohort), and histograms, a contact sheet of each scan, and the
geometry of each file.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.build import Page
from data_prep.views import View
from hnscc.aggregation.column_types import TableRow
from hnscc.base.in_words import count_of
from hnscc.base.locations import locate
from hnscc.cohort.store import Store
from hnscc.commands.cohort_pictures import contact_sheets, intensities
from hnscc.commands.prepared_cohort import lesion_free_told, odd_about, odd_by_scan, units_told
from hnscc.reporting.blocks import Columns, Points, ReportTable, Section, html, report_table


def page_of(store: str | Path) -> Page:
    """Return the function that makes a store's page. store: where the store is to be written, whose name the
    page shows."""
    return partial(cohort_page, name=locate(store).name)


def cohort_page(store: Store, views: Sequence[View], name: str) -> str:
    """Return the page: HTML that loads nothing.

    views: of the store's scans, in any order. name: what the page calls the store.
    """
    odd = odd_by_scan(store)
    seen = {view.scan_id: view for view in views}
    pairs = [(scan, seen[scan.scan_id]) for scan in store.scans]
    sections = [
        Section("In brief", tuple(_brief(store, odd))),
        Section("Intensities", (intensities(store, pairs, odd),)),
        Section("Pictures", (contact_sheets(store, pairs, odd),)),
        *_registration(store),
        Section("Geometry", (_geometry(store),)),
    ]
    return html(f"Cohort {name}", sections)


def _brief(store: Store, odd: Mapping[str | None, Sequence[str]]) -> list[Points]:
    told = [f"{scan}: {text}" for scan, texts in odd.items() if scan for text in texts]
    told += [
        f"mask of {scan.scan_id}: {text}" for scan in store.scans for text in scan.placement["mask_told"]
    ]
    about_all = odd.get(None, [])
    return [
        Points("", (*_counts(store), *lesion_free_told(store.scans), *_accepted(store))),
        *([Points("Odd about the cohort", tuple(about_all))] if about_all else []),
        Points("Look at these scans first" if told else "No scan is odd against the others", tuple(told)),
    ]


def _counts(store: Store) -> list[str]:
    scans = store.scans
    lesion_ml = [scan.placement["lesion"]["ml"] for scan in scans if scan.has_lesion]
    pixel = store.placed["pixel_mm"]
    view = f"{pixel:g} mm" if pixel else "the whole field of view, padded to a square"
    patients = count_of(len({scan.patient_id for scan in scans}), "patient")
    slices, positive = (
        sum(scan.slices for scan in scans),
        sum(scan.positive_slices for scan in scans),
    )
    told = [
        f"{patients}, {count_of(len(scans), 'scan')} ({len(lesion_ml)} with lesion), {count_of(slices, 'slice')} "
        f"({positive:,} with lesion)",
        f"{', '.join(store.modalities)}: {units_told(store)}",
        f"on the grid of {store.placed['reference']}, {store.size} x {store.size} pixels of {view}",
    ]
    if lesion_ml:
        low, middle, high = (_ml(each) for each in (min(lesion_ml), median(lesion_ml), max(lesion_ml)))
        told.append(f"lesions: {low} to {high} ml, median {middle} ml")
    return told


def _accepted(store: Store) -> list[str]:
    reason = store.placed.get("accepted")
    return [f"accepted as it is, with the reason: {reason}"] if reason else []


def _ml(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _geometry(store: Store) -> ReportTable:
    rows = [
        {"scan": scan, "file": name, "odd": odd_about(store, scan.scan_id, name)}
        for scan in store.scans
        for name in scan.placement["inputs"]
    ]
    columns: Columns = {
        "scan": lambda row: row["scan"].scan_id,
        "file": lambda row: row["file"],
        "voxels": lambda row: _product(_input(row)["shape"]),
        "spacing (mm)": lambda row: _product(_input(row)["spacing"]),
        "extent (mm)": lambda row: _product(np.multiply(_input(row)["shape"], _input(row)["spacing"])),
        "axes": lambda row: _input(row)["axes"],
        "tilt": lambda row: f"{_input(row)['tilt']:g}°",
        "placed by": _placed_by,
        "covers": _covers,
        "verdict": lambda row: "; ".join(row["odd"]) or "ok",
    }
    explanation = (
        "Every file as it was read: voxels, spacing and extent from right to left, front to back and feet to head; "
        "`axes` where the file's own axes run to (R right, A front, S head, and so on); how far they are tilted "
        "against the body's; by what it was placed; how much of the grid of the slices it covers. The verdict repeats "
        "what was found odd about the file, values included."
    )
    return report_table("Files", explanation, columns, rows)


def _registration(store: Store) -> list[Section]:
    """Return how every registered modality was moved; nothing where none was registered."""
    rows = [
        {"scan": scan, "file": name, **facts}
        for scan in store.scans
        for name, facts in scan.placement.get("registered", {}).items()
    ]
    columns: Columns = {
        "scan": lambda row: row["scan"].scan_id,
        "file": lambda row: row["file"],
        "registered to": lambda row: row["to"],
        "moved (mm)": lambda row: f"{row['shift_mm']:.1f}",
        "turned": lambda row: f"{row['turn_degrees']:.1f}°",
        "mutual information before": lambda row: f"{row['information_before']:.3f}",
        "after": lambda row: f"{row['information_after']:.3f}",
        "covers": lambda row: f"{row['covered']:.0%}",
    }
    explanation = (
        "What was laid on the reference modality by a rigid registration: how far its middle was moved and by how much "
        "it was turned, how much each image tells of the other (mutual information in nats, of all voxels of the "
        "reference) as the files lie and as registered, and how much of the reference it covers then. More "
        "information is no proof: look at the pictures, before and after."
    )
    return (
        [Section("Registration", (report_table("Registrations", explanation, columns, rows),))]
        if rows
        else []
    )


def _input(row: TableRow) -> dict[str, Any]:
    found: dict[str, Any] = row["scan"].placement["inputs"][row["file"]]
    return found


def _product(numbers: Sequence[float] | NDArray[Any]) -> str:
    """Return numbers, (n,) in any unit, as text, one after another."""
    return "\u00a0x\u00a0".join(f"{number:.3g}" if number < 1000 else f"{number:.0f}" for number in numbers)


def _placed_by(row: TableRow) -> str:
    scan, name = row["scan"], row["file"]
    facts = scan.placement["values"].get(name) or scan.placement["lesion"]
    return (
        f"assumed: {facts['orientation']}" if name in scan.placement["assumed"] else str(facts["orientation"])
    )


def _covers(row: TableRow) -> str:
    share = row["scan"].placement["coverage"].get(row["file"])
    return "" if share is None else f"{share:.0%}"
