"""The cohort as `hnscc prepare` found it: a row per scan with values, lesion, coverage and what was assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_prep.registering.judged import registrations_told
from hnscc.base.console import Console, print_line, print_rows
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import unseen_by_modality

if TYPE_CHECKING:
    from hnscc.cohort.placement import OddFact, ValueFacts
    from hnscc.cohort.store import Store
    from hnscc.cohort.store_format import Scan

ONE_OF_SEVERAL = "one of several, told of the cohort"  # for a scan, where a sentence is about several


def print_cohort(store: Store, console: Console) -> None:
    """Print a row for each scan, and below the rows what is odd about the cohort as a whole. A store of a version that
    recorded no values of scans prints nothing."""
    scans = [scan for scan in store.scans if "values" in scan.placement]
    if not scans:
        return
    odd = odd_by_scan(store)
    columns = ["scan", *store.modalities, "lesion", "share", "coverage", "assumed", "others"]
    print_rows(console, columns, [_row(scan, store.modalities, odd.get(scan.scan_id, [])) for scan in scans])
    print_line(
        console,
        f"{', '.join(store.modalities)}: lowest .. highest value, median, {units_told(store)}. "
        "lesion: ml. share: of the grid, of the body. "
        "coverage: of the grid. others: ok, or what is odd against them",
    )
    for line in lesion_free_told(scans):
        print_line(console, line)
    for scan in scans:
        for text in scan.placement.get("mask_told", []):
            print_line(console, f"mask of {scan.scan_id}: {text}")
    for scan in scans:
        for text in registrations_told(scan.placement.get("registered", {})):
            print_line(console, f"{scan.scan_id}: {text}")
    for text in odd.get(None, []):
        print_line(console, f"odd: {text}", style="yellow")
    if reason := store.placed.get("accepted"):
        print_line(console, f"accepted as it is, with the reason: {reason}", style="yellow")


def store_facts(store: Store) -> dict[str, Any]:
    """Return what a store holds, for programs: the numbers of patients, scans and slices, and the `cohort_facts`.

    lesion_lost_in_resize: slices whose mask holds lesion on the grid on which it was drawn, and none as stored.
    """
    return {
        "store": store.location,
        "patients": len({scan.patient_id for scan in store.scans}),
        "scans": len(store.scans),
        "scans_with_lesion": sum(scan.has_lesion for scan in store.scans),
        "slices": sum(scan.slices for scan in store.scans),
        "positive_slices": sum(scan.positive_slices for scan in store.scans),
        "lesion_lost_in_resize": sum(
            bool(source and not px)
            for scan in store.scans
            for px, source in zip(scan.lesion_px, scan.source_lesion_px, strict=True)
        ),
        "modalities": list(store.modalities),
        "size": store.size,
        "digest": store.digest,
        "odd": list(store.odd),
        "cohort": cohort_facts(store),
    }


def cohort_facts(store: Store) -> list[dict[str, Any]]:
    """Return what `print_cohort` prints, for programs. Each scan has its values, lesion, coverage, slices that are
    not shown, what was assumed, why it was taken as free of lesion (null where it has one), how its modalities
    were registered (data_prep.registering.registered), what its mask left out or assumed, and what is odd (lists
    of sentences)."""
    odd = odd_by_scan(store)
    return [
        {
            "scan_id": scan.scan_id,
            "values": scan.placement["values"],
            "lesion": scan.placement["lesion"],
            "coverage": scan.placement["coverage"],
            "outside": unseen_by_modality(scan.placement),
            "assumed": scan.placement["assumed"],
            "lesion_free": scan.placement.get("lesion_free"),
            "registered": scan.placement.get("registered", {}),
            "mask_told": scan.placement.get("mask_told", []),
            "odd": odd.get(scan.scan_id, []),
        }
        for scan in store.scans
        if "values" in scan.placement
    ]


def units_told(store: Store) -> str:
    """Say in what units of values the files are, for modalities whose files all state one, as DICOM does. Where only
    some state one, `data_prep.oddities.taken.odd_units` says so."""
    units = store.placed.get("units", {})
    stated = [f"{name} in {units[name]}" for name in store.modalities if name in units]
    rest = [name for name in store.modalities if name not in units]
    by_some = any(facts.get("unit") for scan in store.scans for facts in scan.placement["values"].values())
    own = "in the files' own units of values" + ("" if by_some else ", which no file states")
    return ", ".join([*stated, *([f"{', '.join(rest)} {own}" if stated else own] if rest else [])])


def lesion_free_told(scans: Sequence[Scan]) -> list[str]:
    """Return the scans taken as free of lesion, counted and named by the reason for it: this shows a forgotten mask."""
    free: dict[str, list[str]] = {}
    for scan in scans:
        if reason := scan.placement.get("lesion_free"):
            free.setdefault(reason, []).append(scan.scan_id)
    return [
        f"taken as free of lesion by {reason}: {len(ids)} of {count_of(len(scans), 'scan')}: {', '.join(ids)}"
        for reason, ids in free.items()
    ]


def _row(scan: Scan, modalities: tuple[str, ...], odd: list[str]) -> list[str]:
    facts, lesion = scan.placement, scan.placement["lesion"]
    return [
        scan.scan_id,
        *(_values(facts["values"][name]) for name in modalities),
        f"{lesion['ml']:.4g}" if scan.has_lesion else "none" if lesion["drawn_on"] else "no mask",
        f"{lesion['share_of_grid']:.1%}, {lesion['share_of_body']:.1%}" if scan.has_lesion else "",
        _coverage(facts["coverage"]),
        assumed_told(facts, modalities),
        "; ".join(odd) or "ok",
    ]


def _values(values: Mapping[str, Any]) -> str:
    return f"{values['low']:.4g} .. {values['high']:.4g}, {values['median']:.4g}"


def _coverage(shares: Mapping[str, float]) -> str:
    """Return the share that each modality covers, or one number where all cover the same."""
    texts = {name: f"{share:.0%}" for name, share in shares.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def assumed_told(facts: Mapping[str, Any], modalities: tuple[str, ...]) -> str:
    """Say by what each file is placed; files that are alike are named together."""
    lies = {name: facts["values"][name]["orientation"] for name in modalities}
    if facts["lesion"]["orientation"]:
        lies["mask"] = facts["lesion"]["orientation"]
    together: dict[str, list[str]] = {}
    for name, by in lies.items():
        together.setdefault(f"assumed: {by}" if name in facts["assumed"] else by, []).append(name)
    if len(together) == 1:
        return next(iter(together))
    return "; ".join(f"{', '.join(names)} {by}" for by, names in together.items())


def odd_by_scan(store: Store) -> dict[str | None, list[str]]:
    """Return sentences on what `hnscc prepare` found odd, by scan; those on the cohort as a whole under None. Each scan
    that a sentence on the cohort singles out is said to be one of several."""
    found: dict[str | None, list[str]] = {}
    for each in store.placed.get("odd", []):
        for scan_id in (each["scan_id"], *each.get("among", ())):
            told, text = found.setdefault(scan_id, []), _on(each, scan_id)
            told += [] if text in told else [text]
    return found


def _on(odd: OddFact, scan_id: str | None) -> str:
    return odd["text"] if odd["scan_id"] == scan_id else ONE_OF_SEVERAL


def odd_about(store: Store, scan_id: str, file: str) -> list[str]:
    """Return the sentences about one file of a scan, given by the name of its modality, or `mask`."""
    told = [
        _on(each, scan_id)
        for each in store.placed.get("odd", [])
        if scan_id in (each["scan_id"], *each.get("among", ())) and file in each.get("files", ())
    ]
    return list(dict.fromkeys(told))


def value_facts(scan: Scan, modality: str) -> ValueFacts:
    """Return what `hnscc prepare` found about a modality's values in a scan."""
    return scan.placement["values"][modality]
