"""What is odd about scans against the others of their cohort: told, kept in the store, and refused where it misleads.

Nothing here reads an image: all of it follows from the facts that placing kept (data_prep.placing.found).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from data_prep.oddities.inverted import inverted
from data_prep.oddities.misplaced import misplaced
from data_prep.oddities.odd_lesions import odd_lesions
from data_prep.oddities.oddity import Odd
from data_prep.oddities.scales import odd_scales
from data_prep.oddities.separating import separating
from hnscc.cohort.store_format import Scan

LESS_COVERED = 0.1  # of the grid, against the cohort's median
ONE_SIDED = 0.5  # difference between the shares of scans with and without lesion that a fact holds for


def odd_scans(scans: Sequence[Scan], modalities: Sequence[str]) -> list[Odd]:
    """Everything that is odd, the cohort's own first, then scan by scan in the order given."""
    found = [
        *_assumptions(scans, modalities),
        *_one_sided(scans, modalities),
        *_stated_units(scans, modalities),
    ]
    for modality in modalities:
        found += [*_scale(scans, modality), *separating(scans, modality), *_coverage(scans, modality)]
        found += misplaced(scans, modality)
    found += odd_lesions(scans)
    for scan in scans:
        found += _of_scan(scan, modalities)
    order = {None: -1} | {scan.scan_id: position for position, scan in enumerate(scans)}
    return sorted(found, key=lambda odd: order[odd.scan_id])


def _scale(scans: Sequence[Scan], modality: str) -> list[Odd]:
    """What is odd about scale and level; of a scan that is inverted, that alone."""
    turned = list(inverted(scans, modality))
    known = {odd.scan_id for odd in turned}
    return [
        *turned,
        *(odd for odd in odd_scales([scan for scan in scans if scan.scan_id not in known], modality)),
    ]


def _of_scan(scan: Scan, modalities: Sequence[str]) -> Iterator[Odd]:
    lesion = scan.placement["lesion"]
    for modality in modalities:
        facts, outside = scan.placement["values"][modality], scan.placement["outside"][modality]
        if facts["low"] == facts["high"]:
            yield Odd(scan.scan_id, f"{modality} is {facts['low']:g} everywhere", refused=True)
        elif outside:
            shown = f"{modality} does not show {len(outside)} of {scan.slices} slices, which are not used"
            yield Odd(scan.scan_id, shown, refused=len(outside) == scan.slices)
        yield from _unmeasured(scan, modality)
    if lesion["fits"]:
        names = " and of ".join(lesion["fits"])
        text = (
            f"the mask, which states no orientation, fits the grid of {names}, which lie in different places"
        )
        yield Odd(scan.scan_id, f"{text}; taken as {lesion['drawn_on']}")
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


def _unmeasured(scan: Scan, modality: str) -> Iterator[Odd]:
    """Voxels without a value, and those of a value that stands for nothing."""
    facts = scan.placement["values"][modality]
    within = ""
    if facts["within"]:
        within = f"; {facts['within']:,} voxels of that lie within the volume, between some that hold a value"
    if facts["nan"]:
        text = f"{modality} had no number in {facts['nan']:,} voxels (NaN around it, filled)"
        yield Odd(scan.scan_id, text + within)
    if facts["padding"]:
        value, voxels = facts["padding"]["value"], facts["padding"]["voxels"]
        text = f"{modality} holds {value:g} in {voxels:,} voxels and nothing near it: a value that stands for nothing"
        filled = (
            ", filled as NaN is"
            if facts["padding"]["filled"]
            else " and is left, since it is most of the volume"
        )
        yield Odd(scan.scan_id, text + filled + (within if not facts["nan"] else ""))


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
    ill = [scan for scan in scans if scan.has_lesion]
    free = [scan for scan in scans if not scan.has_lesion]
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
    masked = [scan.placement for scan in scans if scan.placement["lesion"]["drawn_on"]]
    laid = Counter(each["lesion"]["orientation"] for each in masked if "mask" in each["assumed"])
    for way, count in sorted(laid.items()):
        yield Odd(
            None,
            f"the mask states no orientation in {count} of {len(masked)} scans with one; assumed: {way}, voxel by "
            "voxel in file order",
        )
    drawn = Counter(each["lesion"]["drawn_on"] for each in masked)
    if len(drawn) > 1:
        where = ", ".join(f"{count} on {name}" for name, count in sorted(drawn.items()))
        reference = scans[0].placement["reference"]
        yield Odd(None, f"masks are drawn {where}; all are brought to {reference}, by area")


def _one_sided(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """What holds for scans with lesion far more often than for those without, or the reverse."""
    ill = [scan for scan in scans if scan.has_lesion]
    free = [scan for scan in scans if not scan.has_lesion]
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
    return _by(scan, modality) if modality in scan.placement["assumed"] else ""


# What may hold for a modality of a scan, by its name in a sentence.
FACTS: dict[str, Callable[[Scan, str], bool]] = {
    "is placed by its sform alone": lambda scan, modality: _by(scan, modality) == "sform",
    "is placed by its qform alone": lambda scan, modality: _by(scan, modality) == "qform",
    "is read from DICOM": lambda scan, modality: _by(scan, modality) == "DICOM",
    "had NaN around it": lambda scan, modality: scan.placement["values"][modality]["nan"] > 0,
    "had a value that stands for nothing": lambda scan, modality: bool(
        scan.placement["values"][modality]["padding"]
    ),
    "does not show all slices": lambda scan, modality: bool(scan.placement["outside"][modality]),
}
