"""What is odd about scans against the others of their cohort: told, kept in the store, and refused where it misleads.

Nothing here reads an image: all of it follows from the facts that placing kept (data_prep.found).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from hnscc.cohort.store_format import Scan

# Times larger than the next scan's: intensities so far apart, with no scan in between, are of two units. Bq/ml are
# 1,500 times SUV and more; one scanner's arbitrary units are seldom 10 times another's.
TWO_UNITS = 20.0
ODD_SCALE = 3.0  # times larger or smaller than the cohort's median
ODD_SDS = 4.0  # robust standard deviations of the logarithm, beside it
ODD_LEVEL = 0.3  # of the cohort's median range, by which a scan's lowest values differ
MAX_LESION = 0.25  # of the grid, or of the body
LESS_COVERED = 0.1  # of the grid, against the cohort's median
ONE_SIDED = 0.5  # difference between the shares of scans with and without lesion that a fact holds for
FEW = 5  # scans, below which nothing is compared with a cohort's median


@dataclass(frozen=True)
class Odd:
    """One sentence on one scan, or on the cohort where `scan_id` is None. `refused`: it needs a reason to go on."""

    scan_id: str | None
    text: str
    refused: bool = False


def odd_scans(scans: Sequence[Scan], modalities: Sequence[str]) -> list[Odd]:
    """Everything that is odd, the cohort's own first, then scan by scan in the order given."""
    found = [
        *_assumptions(scans, modalities),
        *_one_sided(scans, modalities),
        *_stated_units(scans, modalities),
    ]
    for modality in modalities:
        units = list(_units(scans, modality))
        elsewhere = {odd.scan_id for odd in units}
        outliers = (odd for odd in _outliers(scans, modality) if odd.scan_id not in elsewhere)
        found += [*units, *outliers, *_coverage(scans, modality)]
    for scan in scans:
        found += _of_scan(scan, modalities)
    order = {None: -1} | {scan.scan_id: position for position, scan in enumerate(scans)}
    return sorted(found, key=lambda odd: order[odd.scan_id])


def _of_scan(scan: Scan, modalities: Sequence[str]) -> Iterator[Odd]:
    lesion = scan.placement["lesion"]
    for part in ("grid", "body"):
        if lesion[f"share_of_{part}"] > MAX_LESION:
            share = f"{lesion[f'share_of_{part}']:.0%} of the {part} is lesion ({lesion['ml']:.4g} ml)"
            yield Odd(scan.scan_id, f"{share}: is the mask inverted?", refused=True)
            break
    for modality in modalities:
        facts, outside = scan.placement["values"][modality], scan.placement["outside"][modality]
        if facts["low"] == facts["high"]:
            yield Odd(scan.scan_id, f"{modality} is {facts['low']:g} everywhere", refused=True)
        elif outside:
            shown = f"{modality} does not show {len(outside)} of {scan.slices} slices, which are not used"
            yield Odd(scan.scan_id, shown, refused=len(outside) == scan.slices)
        if facts["nan"]:
            yield Odd(
                scan.scan_id, f"{modality} had no number in {facts['nan']:,} voxels (NaN around it, filled)"
            )
    if lesion["nan"]:
        yield Odd(scan.scan_id, f"the mask had no number in {lesion['nan']:,} voxels (NaN around it, filled)")


def _stated_units(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Units that files state (DICOM): refused where two differ, told where some scans state none (NIfTI)."""
    for modality in modalities:
        units = Counter(scan.placement["values"][modality].get("unit", "") for scan in scans)
        named = sorted(unit for unit in units if unit)
        if len(named) > 1:
            counts = ", ".join(f"{unit} in {units[unit]}" for unit in named)
            yield Odd(None, f"{modality} is of several units: {counts} of {len(scans)} scans", refused=True)
        elif named and units[""]:
            yield Odd(
                None,
                f"{modality} is in {named[0]} in {units[named[0]]} of {len(scans)} scans, as DICOM says; the files of "
                f"the other {units['']} state no unit, and count as {named[0]} too",
            )


def _units(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Scans whose values cannot be of the unit of most others."""
    height = {scan.scan_id: _height(scan, modality) for scan in scans}
    ordered = sorted(
        (scan for scan in scans if height[scan.scan_id] > 0), key=lambda scan: height[scan.scan_id]
    )
    if not ordered:
        return
    groups: list[list[Scan]] = []
    for scan in ordered:
        if not groups or _two_units(groups[-1], scan, modality):
            groups.append([])
        groups[-1].append(scan)
    most = max(groups, key=len)
    usual = median(height[each.scan_id] for each in most)
    for group in groups:
        if group is not most:
            for scan in group:
                times = height[scan.scan_id] / usual
                yield Odd(
                    scan.scan_id,
                    f"{modality} cannot be in one unit with {len(most)} others: "
                    f"{_range(scan, modality)}, {_times(times)} theirs",
                    refused=True,
                )


def _two_units(group: Sequence[Scan], scan: Scan, modality: str) -> bool:
    """Whether a scan's values are far larger than those of a group: its whole range is, and that of most voxels.

    The second is asked too, since a hot lesion alone can make the whole range large; half as much is enough there.
    The group's ranges ascend.
    """
    if _height(scan, modality) < TWO_UNITS * _height(group[-1], modality):
        return False
    most, theirs = _bulk(scan, modality), [_bulk(each, modality) for each in group]
    return min(most, *theirs) <= 0 or most >= TWO_UNITS / 2 * median(theirs)


def _outliers(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    sizes = np.array([_bulk(scan, modality) or _height(scan, modality) for scan in scans])
    if len(scans) < FEW or (sizes <= 0).any():
        return
    logs = np.log(sizes / np.median(sizes))
    limit = max(np.log(ODD_SCALE), ODD_SDS * 1.4826 * float(np.median(np.abs(logs))))
    firsts = np.array([scan.placement["values"][modality]["first"] for scan in scans])
    levels = (firsts - np.median(firsts)) / np.median(sizes)
    for scan, log, level in zip(scans, logs, levels, strict=True):
        if abs(log) > limit:
            yield Odd(scan.scan_id, f"{modality} is {_times(float(np.exp(log)))} the cohort's median")
        elif abs(level) > ODD_LEVEL:
            yield Odd(
                scan.scan_id, f"{modality} begins elsewhere than in most scans: {_range(scan, modality)}"
            )


def _coverage(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    shares = [scan.placement["coverage"][modality] for scan in scans]
    if not shares:
        return
    usual = median(shares)
    for scan, share in zip(scans, shares, strict=True):
        if share < usual - LESS_COVERED:
            yield Odd(scan.scan_id, f"{modality} covers {share:.0%} of the grid, in most scans {usual:.0%}")


def _assumptions(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Orientations that no file states. They are refused where scans with lesion are taken by others than those
    without: a model could tell lesion by them alone."""
    ill = [scan for scan in scans if any(scan.source_lesion_px)]
    free = [scan for scan in scans if not any(scan.source_lesion_px)]
    for modality in modalities:
        by = Counter(_assumed(scan, modality) for scan in scans)
        for how, count in sorted(by.items()):
            if how and len(by) == 1:
                yield Odd(None, f"{modality} states no orientation in any scan; assumed: {how}")
            elif how:
                with_, without = (
                    sum(_assumed(scan, modality) == how for scan in each) for each in (ill, free)
                )
                one_sided = bool(ill and free) and not (with_ and without)
                yield Odd(
                    None,
                    f"{modality} states no orientation in {count} of {len(scans)} scans; assumed: {how} "
                    f"({with_} of {len(ill)} with lesion, {without} of {len(free)} without)",
                    refused=one_sided,
                )
    masked = [scan.placement["lesion"] for scan in scans if scan.placement["lesion"]["drawn_on"]]
    for how, count in sorted(Counter(each["orientation"] for each in masked).items()):
        if not _stated(how):
            yield Odd(
                None,
                f"the mask states no orientation in {count} of {len(masked)} scans with one; assumed: {how}, voxel by "
                "voxel in file order",
            )
    drawn = Counter(each["drawn_on"] for each in masked)
    if len(drawn) > 1:
        where = ", ".join(f"{count} on {name}" for name, count in sorted(drawn.items()))
        reference = scans[0].placement["reference"]
        yield Odd(None, f"masks are drawn {where}; all are brought to {reference}, by area")


def _one_sided(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """What holds for scans with lesion far more often than for those without, or the reverse."""
    ill = [scan for scan in scans if any(scan.source_lesion_px)]
    free = [scan for scan in scans if not any(scan.source_lesion_px)]
    if not (ill and free):
        return
    for modality in modalities:
        for what, holds in FACTS.items():
            with_, without = (sum(holds(scan, modality) for scan in each) for each in (ill, free))
            if abs(with_ / len(ill) - without / len(free)) >= ONE_SIDED:
                yield Odd(
                    None,
                    f"{modality} {what} in {with_} of {len(ill)} scans with lesion and in {without} of {len(free)} "
                    "without: a model could tell them apart by it",
                )


def _by(scan: Scan, modality: str) -> str:
    by: str = scan.placement["values"][modality]["orientation"]
    return by


def _assumed(scan: Scan, modality: str) -> str:
    """How a modality that states no orientation is taken to lie; empty where it states one."""
    by = _by(scan, modality)
    return "" if _stated(by) else by


def _stated(by: str) -> bool:
    return by in ("", "sform", "qform", "sform and qform", "DICOM", "NRRD", "MetaImage", "MGH")


# What may hold for a modality of a scan, by its name in a sentence.
FACTS: dict[str, Callable[[Scan, str], bool]] = {
    "is placed by its sform alone": lambda scan, modality: _by(scan, modality) == "sform",
    "is placed by its qform alone": lambda scan, modality: _by(scan, modality) == "qform",
    "is read from DICOM": lambda scan, modality: _by(scan, modality) == "DICOM",
    "had NaN around it": lambda scan, modality: scan.placement["values"][modality]["nan"] > 0,
    "does not show all slices": lambda scan, modality: bool(scan.placement["outside"][modality]),
}


def _height(scan: Scan, modality: str) -> float:
    facts = scan.placement["values"][modality]
    return float(facts["high"] - facts["low"])


def _bulk(scan: Scan, modality: str) -> float:
    facts = scan.placement["values"][modality]
    return float(facts["last"] - facts["first"])


def _range(scan: Scan, modality: str) -> str:
    facts = scan.placement["values"][modality]
    return f"{facts['low']:.4g} to {facts['high']:.4g}, median {facts['median']:.4g}"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"
