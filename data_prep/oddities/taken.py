"""Reports how files were taken: assumed orientations and units of values, voxels without a value, slices not covered.

It also judges whether the modalities of a scan lie in one space, by the codes of NIfTI's sform and qform.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from data_prep.oddities.highest import peaks_in_words
from data_prep.oddities.oddity import LEAST_SCANS, MAJORITY_SHARE, MASK, Odd, of_cohort
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

TEMPLATE = 3  # the first of the codes for templates (Talairach, MNI, another)
SPACES = {
    1: "the scanner's space",
    2: "that of another image that it was aligned to",
    3: "Talairach's template",
    4: "MNI's template",
    5: "a template",
}
LESS_COVERED_SHARE = 0.1  # of the grid, compared with the cohort's median


def odd_codes(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on each scan whose modalities lie partly in a template's space, by their headers; or on
    the cohort.

    The cohort is reported where it holds for all scans. Many programs write the code of a scanner's or of another
    image's space without a difference, so these count only in scans that hold both where most hold one. So does a
    template in all modalities of a scan where most scans lie in none.
    """
    spaces = [_spaces(scan, modalities) for scan in scans]
    mixed = [_templates(each) not in (0, len(each)) for each in spaces]
    if len(scans) > 1 and all(mixed) and all(each == spaces[0] for each in spaces):
        yield of_cohort(f"in all scans {_told(spaces[0])}")
        return
    several = [len(set(each.values())) > 1 for each in spaces]
    whole = [bool(each) and _templates(each) == len(each) for each in spaces]
    for at, scan in enumerate(scans):
        if mixed[at] or (several[at] and _few(several)):
            yield Odd(scan.scan_id, _told(spaces[at]), files=tuple(spaces[at]))
        elif whole[at] and _few(whole):
            yield Odd(
                scan.scan_id,
                f"{_lie(spaces[at])} by its header; most scans lie in no template",
                files=tuple(spaces[at]),
            )


def _spaces(scan: Scan, modalities: Sequence[str]) -> dict[str, int]:
    """Return the code of the space that each NIfTI modality is placed in: that of the sform, or else of the qform."""
    found = {}
    for name in modalities:
        if codes := scan.placement["inputs"][name]["written"].get("codes"):
            sform, qform = (int(each.split()[1]) for each in codes.split(", "))
            found[name] = sform or qform
    return found


def _templates(spaces: Mapping[str, int]) -> int:
    return sum(code >= TEMPLATE for code in spaces.values())


def _few(holds: Sequence[bool]) -> bool:
    """Return whether something holds for some scans, but not for most."""
    return len(holds) >= LEAST_SCANS and sum(holds) <= (1 - MAJORITY_SHARE) * len(holds)


def _told(spaces: Mapping[str, int]) -> str:
    return f"{_lie(spaces)}, as their headers say: do they lie on one another?"


def _lie(spaces: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} lies in {SPACES.get(code, 'a space without a name')} (code {code})"
        for name, code in spaces.items()
    )


def odd_orientations(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on orientations that no file states.

    They are refused where scans with lesion are given others than those without, since a model could recognise lesions
    by them alone.
    """
    with_lesion = [scan for scan in scans if scan.has_lesion]
    without_lesion = [scan for scan in scans if not scan.has_lesion]
    for modality in modalities:
        by = Counter(_assumed(scan, modality) for scan in scans)
        for how, count in sorted(by.items()):
            if how and len(by) == 1:
                yield of_cohort(f"{modality} states no orientation in any scan; assumed: {how}")
            elif how:
                with_, without = (
                    sum(_assumed(scan, modality) == how for scan in each)
                    for each in (with_lesion, without_lesion)
                )
                one_sided = bool(with_lesion and without_lesion) and not (with_ and without)
                yield of_cohort(
                    f"{modality} states no orientation in {count} of {count_of(len(scans), 'scan')}; assumed: {how} "
                    f"({with_} of {len(with_lesion)} with lesion, {without} of {len(without_lesion)} without)",
                    refused=one_sided,
                )
    masked = [scan.placement for scan in scans if scan.placement["lesion"]["drawn_on"]]
    laid = Counter(each["lesion"]["orientation"] for each in masked if "mask" in each["assumed"])
    for way, count in sorted(laid.items()):
        yield of_cohort(
            f"the mask states no orientation in {count} of {count_of(len(masked), 'scan')} with one; assumed: {way}, "
            "voxel by voxel in file order",
        )
    drawn = Counter(each["lesion"]["drawn_on"] for each in masked)
    if len(drawn) > 1:
        where = ", ".join(f"{count} on {name}" for name, count in sorted(drawn.items()))
        reference = scans[0].placement["reference"]
        yield of_cohort(f"masks are drawn {where}; all are brought to {reference}, by area")


def _assumed(scan: Scan, modality: str) -> str:
    """Return how a modality that states no orientation is taken to lie, in words; "" where it states one."""
    facts = scan.placement
    return facts["values"][modality]["orientation"] if modality in facts["assumed"] else ""


def odd_units(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on units of values of DICOM files: refused where two differ, reported where some scans (NIfTI)
    state none."""
    for modality in modalities:
        units = Counter(scan.placement["values"][modality].get("unit", "") for scan in scans)
        named = sorted(unit for unit in units if unit)
        if len(named) > 1:
            counts = ", ".join(f"{unit} in {units[unit]}" for unit in named)
            yield of_cohort(
                f"{modality} is of several units of values: {counts} of {count_of(len(scans), 'scan')}",
                refused=True,
            )
        elif named and units[""]:
            yield of_cohort(
                f"{modality} is in {named[0]} in {units[named[0]]} of {count_of(len(scans), 'scan')}, as DICOM says; "
                f"the files of the other {units['']} state no unit of values, and count as {named[0]} too",
            )


def unmeasured(scan: Scan, modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield what a scan's files do not hold: values other than one, slices, numbers, the place of its mask."""
    lesion = scan.placement["lesion"]
    for modality in modalities:
        facts, unseen = scan.placement["values"][modality], scan.unseen([modality])
        refused = len(unseen) == scan.slices
        if facts["low"] == facts["high"]:
            yield Odd(
                scan.scan_id, f"{modality} is {facts['low']:g} everywhere", files=(modality,), refused=True
            )
        elif peaks := peaks_in_words(scan, modality):
            others = f"; not sampled beside it: {len(unseen)} of {count_of(scan.slices, 'slice')}"
            text = f"{modality} {peaks}{others if unseen else ''}"
            yield Odd(scan.scan_id, text, files=(modality,), refused=refused)
        elif unseen:
            whole = f"{len(unseen)} of {count_of(scan.slices, 'slice')} whole"
            shown = f"{modality} does not show {whole}, which are not sampled"
            yield Odd(scan.scan_id, shown, files=(modality,), refused=refused)
        yield from _without_value(scan, modality)
    if lesion["fits"]:
        names = " and of ".join(lesion["fits"])
        text = (
            f"the mask, which states no orientation, fits the grid of {names}, which lie in different places"
        )
        yield Odd(scan.scan_id, f"{text}; taken as {lesion['drawn_on']}", files=(MASK,))
    if lesion["nan"]:
        yield Odd(
            scan.scan_id,
            f"the mask had no number in {count_of(lesion['nan'], 'voxel')} (NaN around it, filled)",
            files=(MASK,),
        )


def _without_value(scan: Scan, modality: str) -> Iterator[Odd]:
    """Yield a sentence on voxels without a value, and on those with a value that stands for nothing."""
    facts = scan.placement["values"][modality]
    within = ""
    if facts["within"]:
        within = f"; {count_of(facts['within'], 'voxel')} of that lie within the volume, between some that hold a value"
    if facts["nan"]:
        what = "NaN, filled" if facts["within"] else "NaN around it, filled"
        text = f"{modality} had no number in {count_of(facts['nan'], 'voxel')} ({what})"
        yield Odd(scan.scan_id, text + within, files=(modality,))
    if facts["padding"]:
        value, voxels = facts["padding"]["value"], facts["padding"]["voxels"]
        where, beside = f"{modality} holds {value:g} in {count_of(voxels, 'voxel')}", "and nothing near it"
        if mixed := facts["padding"]["mixed"]:
            beside = f"(in {mixed:,} of them mixed with the image, as interpolation does)"
        text = f"{where} {beside}: a value that stands for nothing"
        filled = (
            ", filled as NaN is"
            if facts["padding"]["filled"]
            else " and is left, since it is most of the volume"
        )
        yield Odd(scan.scan_id, text + filled + (within if not facts["nan"] else ""), files=(modality,))


def less_covered(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on scans of which a modality covers less of the grid than in most scans."""
    shares = [scan.placement["coverage"][modality] for scan in scans]
    usual = median(shares)
    for scan, share in zip(scans, shares, strict=True):
        if share < usual - LESS_COVERED_SHARE:
            yield Odd(
                scan.scan_id,
                f"{modality} covers {share:.0%} of the grid, in most scans {usual:.0%}",
                files=(modality,),
            )
