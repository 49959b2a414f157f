"""The intensities of a cohort's scans, for its page: on one axis, where a scan in another unit stands out."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.views import View, bin_edges
from hnscc.cohort.store import Store
from hnscc.cohort.store_format import Scan
from hnscc.commands.cohort_table import odd_about, values_of
from hnscc.reporting.blocks import Histogram, Histograms
from hnscc.reporting.drawing.histogram import histogram_svg, shares_on_axis

BEYOND = 1.6  # times the usual range: where the axis ends


def intensities(
    store: Store, pairs: Sequence[tuple[Scan, View]], odd: Mapping[str | None, Sequence[str]]
) -> Histograms:
    """A histogram of each modality of each scan, all on one axis. odd: what is odd, in sentences, by scan."""
    axes = {name: _axis([values_of(scan, name) for scan, _ in pairs]) for name in store.modalities}
    shares = {
        name: np.array([_shares(view, at, axes[name]) for _, view in pairs])
        for at, name in enumerate(store.modalities)
    }
    usual = {name: np.median(each, axis=0) for name, each in shares.items()}
    rows = []
    for position, (scan, _) in enumerate(pairs):
        texts = odd.get(scan.scan_id, [])
        drawn = [
            Histogram(
                histogram_svg(shares[name][position], usual[name], _marks(scan, name, axes[name])),
                bool(odd_about(name, texts, store.modalities)),
            )
            for name in store.modalities
        ]
        rows.append((scan.scan_id, tuple(drawn), "; ".join(texts) or "ok"))
    head = [f"{name}: {axes[name][0]:.4g} to {axes[name][1]:.4g}" for name in store.modalities]
    explanation = (
        "The values of each scan's stored pixels above its lowest one, on one axis for all scans of a modality; what "
        "lies beyond its ends is in the bar at either end. A bar's height is logarithmic, from 0.01 % of the pixels to "
        "all. The line is the median of all scans, the green mark the median value in the lesion. Orange are the "
        "modalities that a sentence on the right is about."
    )
    return Histograms(explanation, ("scan", *head, "verdict"), tuple(rows))


def _axis(values: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """From where most scans begin to beyond where they end, so that one in another unit does not set it."""
    first, last = (median(each[name] for each in values) for name in ("first", "last"))
    return first, first + BEYOND * (last - first)


def _shares(view: View, at: int, axis: tuple[float, float]) -> NDArray[np.float64]:
    return shares_on_axis(view.histogram[at], bin_edges(view.low[at], view.high[at]), axis)


def _marks(scan: Scan, modality: str, axis: tuple[float, float]) -> list[float]:
    value = scan.placement["lesion"]["medians"][modality]
    return [] if value is None or axis[1] <= axis[0] else [(value - axis[0]) / (axis[1] - axis[0])]
