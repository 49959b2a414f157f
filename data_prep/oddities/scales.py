"""Judges whether the scans of a cohort have one unit of values, scale and level, by modality, with lesions left out.

Where no group of scans is large enough for others to be compared with it, the groups are named, and none is
called wrong.
"""

from collections.abc import Container, Iterator, Sequence
from statistics import median

import numpy as np

from data_prep.oddities.factors import halves, throughout
from data_prep.oddities.oddity import (
    LEAST_SCANS,
    Odd,
    cut_short,
    grouped,
    has_majority,
    limit,
    of_cohort,
    of_some,
    scans_in_words,
    times,
)
from hnscc.base.arrays import Floats
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import ValueFacts
from hnscc.cohort.store_format import Scan

# Times larger than the next scan's: values so far apart, with no scan in between, have two units. Bq/ml are 1,500 times
# SUV and more; one scanner's arbitrary values are seldom 10 times another's.
TWO_UNITS_TIMES = 20.0
ODD_SCALE_TIMES = 3.0  # times larger or smaller than the cohort's median
TWO_SCALES_TIMES = 2.0  # times larger: the least gap between groups of scans
# The same where most scans have one scale and two or more another: PET in kBq/ml is 2 to 4 times PET in SUV. None of 34
# real patients stands beside such a gap (it is 1.2 at most with two scans beyond it).
MINORITY_GAP_TIMES = 1.6
ODD_LEVEL_SHARE = 0.3  # of the cohort's median range: the lowest values of groups differ by more
# The same for one scan, and robust standard deviations besides: 0.03 at most in the public cohort.
ONE_LEVEL_SHARE, LEVEL_SDS = 0.1, 8.0
# Of the scans: if so many begin at exactly 0, scans with values below 0 are reported. Of the public cohort's 34 PET 31
# begin so, of its MRI 33, and none goes below 0.
AT_ZERO_SHARE = 0.4


def odd_scales(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield what is odd about the scale and level of a modality: other units of values (refused), groups of scans,
    single scans.

    Scans in which it is cut short are judged by units and by values below 0 alone, since filled slices change a median
    as another scale does.
    """
    found = list(_units(scans, modality))
    if not any(odd.scan_id is None for odd in found):
        elsewhere = {odd.scan_id for odd in found}
        whole = [scan for scan in scans if not cut_short(scan, modality)]
        groups = list(_groups(whole, modality)) if not found else []
        found += groups or [odd for odd in _outliers(whole, modality) if odd.scan_id not in elsewhere]
        if not found and (parts := halves(whole, modality)):
            found.append(_groups_of_scale(*parts, modality))
        if not groups:
            below = _below_zero(scans, modality, {odd.scan_id for odd in found})
            found += list(_told_below(scans, below, modality))
            elsewhere |= {odd.scan_id for odd in found} | {scan.scan_id for scan in below}
            found += [odd for odd in _levels(whole, modality) if odd.scan_id not in elsewhere]
    yield from found


def brightness(scan: Scan, modality: str) -> float:
    """Return how far the brightest tenth of the body lies above the lowest values, without the lesion and
    its surroundings.

    If a scan shows nothing else, it is the range of most voxels.
    """
    facts = _values(scan, modality)
    if facts["tissue"] is None:
        return _bulk(scan, modality) or height(scan, modality)
    return above_lowest(facts, "last")


def above_lowest(values: ValueFacts, name: str) -> float:
    """Return how far a number of the body without the lesion, such as its median, lies above the scan's lowest values.

    It is 0 where the scan shows nothing but the lesion.
    """
    tissue = values["tissue"]
    return 0.0 if tissue is None else float(tissue[name] - values["first"])


def height(scan: Scan, modality: str) -> float:
    """Return how far a scan's highest value lies above its lowest."""
    facts = _values(scan, modality)
    return float(facts["high"] - facts["low"])


def _units(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on scans that cannot have the unit of most others, or on groups that cannot where none
    is most."""
    groups = _by_unit(scans, modality)
    if len(groups) < 2:
        return
    heights = [median(height(scan, modality) for scan in group) for group in groups]
    if not has_majority(groups):
        yield of_cohort(_not_one_unit(groups, heights, modality), refused=True)
        return
    most = max(groups, key=len)
    usual = heights[groups.index(most)]
    for group in groups:
        if group is not most:
            for scan in group:
                yield Odd(
                    scan.scan_id,
                    f"{modality} cannot be in one unit of values with {count_of(len(most), 'other')}: "
                    f"{_range(scan, modality)}, {times(height(scan, modality) / usual)} theirs",
                    files=(modality,),
                    refused=True,
                )


def _by_unit(scans: Sequence[Scan], modality: str) -> list[list[Scan]]:
    """Return the scans in groups of different units of values, ascending."""
    shown = [scan for scan in scans if height(scan, modality) > 0]
    groups: list[list[Scan]] = []
    for scan in sorted(shown, key=lambda scan: height(scan, modality)):
        if not groups or _two_units(groups[-1], scan, modality):
            groups.append([])
        groups[-1].append(scan)
    return groups


def _two_units(group: Sequence[Scan], scan: Scan, modality: str) -> bool:
    """Return whether a scan's values are far larger than those of a group, in their whole range and in that of
    most voxels.

    The second is asked too, since a hot lesion alone can make the whole range large; half as much is enough there. The
    ranges of the group are in ascending order.
    """
    if height(scan, modality) < TWO_UNITS_TIMES * height(group[-1], modality):
        return False
    most, theirs = _bulk(scan, modality), [_bulk(each, modality) for each in group]
    return min(most, *theirs) <= 0 or most >= TWO_UNITS_TIMES / 2 * median(theirs)


def _groups(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on groups of scans that differ by factors, or else by their lowest values, where none of them
    is most."""
    bright = [brightness(scan, modality) for scan in scans]
    if min(bright, default=0) <= 0:
        return
    by_scale = grouped(list(np.log(bright)), float(np.log(TWO_SCALES_TIMES)))
    if not has_majority(by_scale):
        groups = [[scans[at] for at in sorted(group)] for group in by_scale]
        usual = [median(bright[at] for at in group) for group in by_scale]
        if usual[-1] >= TWO_UNITS_TIMES * usual[0]:
            yield of_cohort(_not_one_unit(groups, usual, modality), refused=True)
        else:
            yield _groups_of_scale(groups, usual, modality)
        return
    firsts = [float(_values(scan, modality)["first"]) for scan in scans]
    by_level = grouped([first / float(np.median(bright)) for first in firsts], ODD_LEVEL_SHARE)
    if not has_majority(by_level):
        levels = [median(firsts[at] for at in group) for group in by_level]
        told = " and ".join(
            f"at about {level:.4g} in {scans_in_words([scans[at].scan_id for at in sorted(group)])}"
            for level, group in zip(levels, by_level, strict=True)
        )
        yield of_cohort(
            f"{modality} falls into {count_of(len(by_level), 'group')} of level: it begins {told}"
        )


def _not_one_unit(groups: Sequence[Sequence[Scan]], usual: Sequence[float], modality: str) -> str:
    return f"{modality} cannot be in one unit of values with itself: {_ladder(groups, usual, modality)}"


def _ladder(groups: Sequence[Sequence[Scan]], usual: Sequence[float], modality: str | None = None) -> str:
    """Return groups in words, ascending, each with its factor to the one before, and the medians if a modality
    is given."""
    told = []
    for at, group in enumerate(groups):
        factor = "" if at == 0 else f"about {usual[at] / usual[at - 1]:.3g} times as much in "
        each = (
            ""
            if modality is None
            else f", median {median(_values(scan, modality)['median'] for scan in group):.4g}"
        )
        told.append(f"{factor}{scans_in_words([scan.scan_id for scan in group])}{each}")
    return ", ".join(told)


def _outliers(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    bright = np.array([brightness(scan, modality) for scan in scans])
    if len(scans) < LEAST_SCANS or (bright <= 0).any():
        return
    logs = np.log(bright / np.median(bright))
    usual = max(grouped(list(logs), float(np.log(TWO_SCALES_TIMES))), key=len)
    most = limit(logs[usual], float(np.log(ODD_SCALE_TIMES)))
    together = _minorities(logs)
    by_factor = throughout(scans, modality)
    for at, (scan, log) in enumerate(zip(scans, logs, strict=True)):
        if abs(log) > most or at in together:
            others = f", one of {count_of(together[at], 'scan')} of such a scale" if at in together else ""
            yield Odd(
                scan.scan_id,
                f"{modality} is {times(float(np.exp(log)))} the cohort's median{others}",
                files=(modality,),
            )
        elif at in by_factor:
            ratio = times(float(np.exp(by_factor[at])))
            yield Odd(
                scan.scan_id,
                f"{modality} is {ratio} the others' median, in bright and in usual tissue alike, as by a factor (in "
                "SUV, a weight in pounds, another dose or decay)",
                files=(modality,),
            )


def _levels(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on single scans whose lowest values differ from those of most."""
    bright = np.array([brightness(scan, modality) for scan in scans])
    if len(scans) < LEAST_SCANS or (bright <= 0).any():
        return
    firsts = np.array([_values(scan, modality)["first"] for scan in scans])
    levels = (firsts - np.median(firsts)) / np.median(bright)
    elsewhere = limit(levels, ONE_LEVEL_SHARE, LEVEL_SDS)
    for scan, level in zip(scans, levels, strict=True):
        if abs(level) > elsewhere:
            yield Odd(
                scan.scan_id,
                f"{modality} begins elsewhere than in most scans: {_range(scan, modality)}",
                files=(modality,),
            )


def _below_zero(scans: Sequence[Scan], modality: str, known: Container[str | None]) -> list[Scan]:
    """Return scans with values below 0, by however little, where enough others begin at exactly 0.

    Scans `known` to be of another scale are left out, and those whose lowest value is reported to be padding that
    was kept.
    """
    if len(scans) < LEAST_SCANS or _at_zero(scans, modality) < AT_ZERO_SHARE * len(scans):
        return []
    facts = [_values(scan, modality) for scan in scans]
    return [
        scan
        for scan, each in zip(scans, facts, strict=True)
        if each["low"] < 0
        and (each.get("padding") or {}).get("value") != each["low"]
        and scan.scan_id not in known
    ]


def _at_zero(scans: Sequence[Scan], modality: str) -> int:
    return sum(_values(scan, modality)["low"] == 0 for scan in scans)


def _told_below(scans: Sequence[Scan], below: Sequence[Scan], modality: str) -> Iterator[Odd]:
    lowest = min((_values(scan, modality)["low"] for scan in below), default=0.0)
    text = (
        f"{modality} goes below 0, down to {lowest:.4g}, where it begins at exactly 0 in "
        f"{count_of(_at_zero(scans, modality), 'other')}: was a number subtracted (scl_inter), or was it filtered "
        "or resliced by splines?"
    )
    yield from of_some(scans, below, text, files=(modality,))


def _groups_of_scale(groups: Sequence[Sequence[Scan]], usual: Sequence[float], modality: str) -> Odd:
    return of_cohort(
        f"{modality} falls into {count_of(len(groups), 'group')} of scale: {_ladder(groups, usual)}; which is right "
        "is for you to say",
    )


def _minorities(logs: Floats) -> dict[int, int]:
    """Return the positions of scans in groups of two or more that stand apart from the group of most scans, with
    group sizes.

    It is empty where no group is most. logs: (scans,), logarithms of a scale.
    """
    groups = grouped(list(logs), float(np.log(MINORITY_GAP_TIMES)))
    if not has_majority(groups):
        return {}
    usual = max(groups, key=len)
    return {at: len(group) for group in groups if group is not usual and len(group) > 1 for at in group}


def _values(scan: Scan, modality: str) -> ValueFacts:
    return scan.placement["values"][modality]


def _bulk(scan: Scan, modality: str) -> float:
    facts = _values(scan, modality)
    return float(facts["last"] - facts["first"])


def _range(scan: Scan, modality: str) -> str:
    facts = _values(scan, modality)
    return f"{facts['low']:.4g} to {facts['high']:.4g}, median {facts['median']:.4g}"
