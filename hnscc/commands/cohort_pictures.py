"""The pictures on a cohort's page: histograms on one axis, where a scan in another unit of values stands out, and
contact sheets, each with its own range of values."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.registering.judged import registrations_told
from data_prep.views import LEVELS, View, bin_edges
from hnscc.base.in_words import count_of
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import Scan
from hnscc.commands.prepared_cohort import odd_about, value_facts
from hnscc.reporting.blocks import Histogram, Histograms, Sheet, Sheets
from hnscc.reporting.plotting.contact_sheet import (
    GreyRange,
    Panel,
    contact_sheet,
    histogram_svg,
    rows_of,
    shares_on_axis,
)
from hnscc.reporting.plotting.style import UPTAKE

BEYOND = 1.6  # the axis ends at so many times the usual range
SIDE, LEAST_SIDE = 144, 64  # pixels of a picture's side, at most and at least
MANY_SCANS = 60  # with more scans the pictures get smaller, so that the page does not grow
BRIGHT = 1.3  # PET is darkest at so many times the usual 99th percentile: about SUV 7 where there are tumours
ANOTHER = 3.0  # a PET above so many times that percentile, or below a third of it, has its own window
CT, AIR, SOFT_TISSUE = "ct", -500, (-160.0, 240.0)  # HU


def intensities(
    store: Store, pairs: Sequence[tuple[Scan, View]], odd: Mapping[str | None, Sequence[str]]
) -> Histograms:
    """Make a histogram of each modality of each scan, all on one axis. odd: sentences on what is odd, by scan."""
    axes = {name: _axis([value_facts(scan, name) for scan, _ in pairs]) for name in store.modalities}
    shares = {
        name: np.array([_shares(view, at, axes[name]) for _, view in pairs])
        for at, name in enumerate(store.modalities)
    }
    usual = {name: np.median(each, axis=0) for name, each in shares.items()}
    rows = []
    for position, (scan, _) in enumerate(pairs):
        texts = odd.get(scan.scan_id, [])
        histograms = [
            Histogram(
                histogram_svg(shares[name][position], usual[name], _marks(scan, name, axes[name])),
                bool(odd_about(store, scan.scan_id, name)),
            )
            for name in store.modalities
        ]
        rows.append((scan.scan_id, tuple(histograms), "; ".join(texts) or "ok"))
    head = [f"{name}: {axes[name][0]:.4g} to {axes[name][1]:.4g}" for name in store.modalities]
    explanation = (
        "The values of each scan's stored pixels above its lowest one, on one axis for all scans of a modality; what "
        "lies beyond its ends is in the bar at either end. A bar's height is logarithmic, from 0.01 % of the pixels to "
        "all. The line is the median of all scans, the green mark the median value in the lesion. Orange are the "
        "modalities that a sentence on the right is about."
    )
    return Histograms(explanation, ("scan", *head, "verdict"), tuple(rows))


def _axis(values: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return an axis from where most scans begin to beyond where they end, so that a scan in another unit of values
    does not determine it."""
    first, last = (median(each[name] for each in values) for name in ("first", "last"))
    return first, first + BEYOND * (last - first)


def _shares(view: View, at: int, axis: tuple[float, float]) -> NDArray[np.float64]:
    """Return the shares, 0..1, of a modality's histogram on the common axis: (42,)."""
    return shares_on_axis(view.histogram[at], bin_edges(view.low[at], view.high[at]), axis)


def _marks(scan: Scan, modality: str, axis: tuple[float, float]) -> list[float]:
    value = scan.placement["lesion"]["medians"][modality]
    return [] if value is None or axis[1] <= axis[0] else [(value - axis[0]) / (axis[1] - axis[0])]


def contact_sheets(
    store: Store, pairs: Sequence[tuple[Scan, View]], odd: Mapping[str | None, Sequence[str]]
) -> Sheets:
    """Make a contact sheet of each scan. odd: sentences on what is odd, by scan."""
    side = (
        SIDE if len(pairs) <= MANY_SCANS else max(LEAST_SIDE, round(SIDE * (MANY_SCANS / len(pairs)) ** 0.5))
    )
    tops = [value_facts(scan, UPTAKE)["last"] for scan, _ in pairs] if UPTAKE in store.modalities else [1.0]
    sheets = []
    for scan, view in pairs:
        windows = {name: _window(scan, name, median(tops)) for name in store.modalities}
        registered = scan.placement.get("registered", {})
        shown = ", ".join(f"{name} from {low:.4g} to {high:.4g}" for name, (low, high) in windows.items())
        sheets.append(
            Sheet(
                scan_id=scan.scan_id,
                patient_id=scan.patient_id,
                told=tuple(odd.get(scan.scan_id, [])),
                facts=(f"{_lesion(scan)}; shown: {shown}", *registrations_told(registered)),
                rows=tuple(rows_of(store.modalities, list(registered), scan.placement["reference"])),
                columns=("coronal", *(f"slice {z}" for z in view.slices)),
                jpeg=contact_sheet(_panels(view, scan, store.modalities), windows, side),
            )
        )
    explanation = (
        "Seen from the feet, and from the front; R is the patient's right. The coronal picture shows the row with the "
        "most lesion, head at the top. Slices are spread from the first with lesion to the last, or over the whole "
        "scan where it has none. PET is black where it is hot, in one window for all scans but those whose values "
        "are far from the others'; over the other modality it is red to yellow. The white line is the mask."
    )
    if any(view.before for _, view in pairs):
        explanation += (
            " Where a modality was registered, a row shows it over the reference as their files lie (`before`), to be "
            "compared with the row above or below it: borders of the body and of organs must lie on one another "
            "better now. Two anatomies are shown in magenta and green, and are grey where they agree."
        )
    return Sheets(explanation, tuple(sheets))


def _window(scan: Scan, modality: str, usual: float) -> GreyRange:
    """Return the values that are shown darkest and brightest: the same for PET in all scans, soft tissue for CT, and
    for others the 1st and the 99th percentile."""
    facts = value_facts(scan, modality)
    if modality == UPTAKE and usual > 0 and usual / ANOTHER <= facts["last"] <= usual * ANOTHER:
        return (min(0.0, facts["first"]), BRIGHT * usual)
    if modality == CT and facts["first"] < AIR:
        return SOFT_TISSUE
    return (facts["first"], facts["last"])


def _lesion(scan: Scan) -> str:
    facts = scan.placement["lesion"]
    if not scan.has_lesion:
        return f"no lesion, by {scan.placement['lesion_free']}"
    return f"lesion: {facts['ml']:.4g} ml in {scan.positive_slices} of {count_of(scan.slices, 'slice')}"


def _panels(view: View, scan: Scan, modalities: Sequence[str]) -> list[Panel]:
    z, y, x = view.spacing_mm
    reference = scan.placement["reference"]
    before = {name: view.before[at] for at, name in enumerate(modalities) if at in view.before}
    scales = {name: (low, high) for name, low, high in zip(modalities, view.low, view.high, strict=True)}

    def values(levels: Mapping[str, NDArray[np.uint16]]) -> dict[str, NDArray[np.floating]]:
        """Return levels of a plane, (H, W) of each modality, as raw values of that shape."""
        return {
            name: scales[name][0] + (scales[name][1] - scales[name][0]) / LEVELS * image
            for name, image in levels.items()
        }

    def named(levels: NDArray[np.uint16]) -> dict[str, NDArray[np.floating]]:
        """Return levels (C, H, W) as raw values of each modality, (H, W)."""
        return values(dict(zip(modalities, levels, strict=True)))

    panels = [
        Panel(
            named(view.coronal[:, ::-1]),
            view.coronal_outline[::-1],
            (z, x),
            values({name: coronal[::-1] for name, (_, coronal) in before.items()}),
            reference,
        )
    ]
    for at, (levels, mask) in enumerate(zip(view.axial, view.outlines, strict=True)):
        of_slice = values({name: axial[at] for name, (axial, _) in before.items()})
        panels.append(Panel(named(levels), mask, (y, x), of_slice, reference))
    return panels
