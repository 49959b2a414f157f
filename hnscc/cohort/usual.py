"""What the scans of a store are like, in numbers that name no scan: what a new scan is compared with.

A run folder keeps them beside its models, since these may go where the store does not (`write_fold` in fold.py).
"""

from typing import Any

from hnscc.cohort.placement import ValueFacts
from hnscc.cohort.store import Store

# Of the values of each modality (placement.ValueFacts): what says of which unit, scale and level they are.
KEPT = ("low", "first", "median", "last", "high", "rim", "tissue", "elsewhere")


def usual_of(store: Store) -> dict[str, Any] | None:
    """Return the values of each modality in every scan of a store, lowest median first, and how most scans lie.

    `values`: for each modality a list of KEPT. `lying`: placement.LyingFacts of each modality whose scans look alike.
    None for a store that was made before preparing kept the values.
    """
    values = {
        name: _values([scan.placement.get("values", {}).get(name, {}) for scan in store.scans])
        for name in store.modalities
    }
    if not store.scans or not all(values.values()):
        return None
    return {"values": values, "lying": store.placed.get("lying", {})}


def _values(of_scans: list[ValueFacts]) -> list[dict[str, Any]] | None:
    """What is kept of one modality, in an order that says nothing of whose it is; None where a scan lacks some."""
    kept: list[dict[str, Any]] = [{name: facts.get(name) for name in KEPT} for facts in of_scans]
    # Tissue had no upper quartile before 27 November 2026.
    found = [each for each in kept if each["median"] is not None and "upper" in (each["tissue"] or {"upper"})]
    if len(found) < len(of_scans):
        return None
    return sorted(found, key=lambda each: (each["median"], each["high"]))
