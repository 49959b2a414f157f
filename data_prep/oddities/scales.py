"""Whether the scans of a cohort are of one unit, scale and level, by modality; lesions are left out of it.

Where no group of scans is large enough to be the one that others are measured by, the groups are named, and none is
called the wrong one.
"""

from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from data_prep.oddities.oddity import FEW, Odd, grouped, has_majority, limit, named, times
from hnscc.cohort.placement import ValueFacts
from hnscc.cohort.store_format import Scan

# Times larger than the next scan's: intensities so far apart, with no scan in between, are of two units. Bq/ml are
# 1,500 times SUV and more; one scanner's arbitrary units are seldom 10 times another's.
TWO_UNITS = 20.0
ODD_SCALE = 3.0  # times larger or smaller than the cohort's median
TWO_SCALES = 2.0  # times larger, the least gap between groups of scans
# The same where most scans are of one scale and two or more of another: PET in kBq/ml is 2 to 4 times PET in SUV. Of 34
# real patients none stands beside such a gap (1.2 at most with two scans beyond it).
MINORITY_GAP = 1.6
# One scan whose tissue is of another scale throughout: the mean of the factors of its size and of its tissue's median
# to the cohort's, each of them at least the lesser. Pounds for kilograms make SUV 2.2 times as much. Of 34 real ones
# PET of one is 1/1.9 throughout, 3.3 robust standard deviations off, where 4 are asked for; on MRI none is beyond 1/1.4
# in both. Of 14 of them, drawn by chance, one PET would be told in 3 of 100 draws.
ONE_SCALE, EACH_SCALE = 1.9, 1.6
ODD_LEVEL = 0.3  # of the cohort's median range, by which the lowest values of groups differ
# The same of one scan, and robust standard deviations beside it: 0.03 at most in the public cohort.
ONE_LEVEL, LEVEL_SDS = 0.1, 8.0


def odd_scales(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """What is odd about the scale of a modality: other units (refused), groups of scans, single scans."""
    found = list(_units(scans, modality))
    if not any(odd.scan_id is None for odd in found):
        elsewhere = {odd.scan_id for odd in found}
        groups = list(_groups(scans, modality)) if not found else []
        found += groups or [odd for odd in _outliers(scans, modality) if odd.scan_id not in elsewhere]
    yield from found


def size(scan: Scan, modality: str) -> float:
    """How far the bright tenth of the body lies above the lowest values, without the lesion and what surrounds it; of
    a scan that shows nothing else, the range of most voxels."""
    facts = _values(scan, modality)
    if facts["tissue"] is None:
        return _bulk(scan, modality) or _height(scan, modality)
    return float(facts["tissue"]["last"] - facts["first"])


def _units(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Scans whose values cannot be of the unit of most others; or groups of scans that cannot, where none is most."""
    groups = _by_unit(scans, modality)
    if len(groups) < 2:
        return
    heights = [median(_height(scan, modality) for scan in group) for group in groups]
    if not has_majority(groups):
        yield Odd(None, _not_one_unit(groups, heights, modality), refused=True)
        return
    most = max(groups, key=len)
    usual = heights[groups.index(most)]
    for group in groups:
        if group is not most:
            for scan in group:
                yield Odd(
                    scan.scan_id,
                    f"{modality} cannot be in one unit with {len(most)} others: "
                    f"{_range(scan, modality)}, {times(_height(scan, modality) / usual)} theirs",
                    refused=True,
                )


def _by_unit(scans: Sequence[Scan], modality: str) -> list[list[Scan]]:
    """Scans in groups that are of two units, ascending."""
    shown = [scan for scan in scans if _height(scan, modality) > 0]
    groups: list[list[Scan]] = []
    for scan in sorted(shown, key=lambda scan: _height(scan, modality)):
        if not groups or _two_units(groups[-1], scan, modality):
            groups.append([])
        groups[-1].append(scan)
    return groups


def _two_units(group: Sequence[Scan], scan: Scan, modality: str) -> bool:
    """Whether a scan's values are far larger than those of a group: its whole range is, and that of most voxels.

    The second is asked too, since a hot lesion alone can make the whole range large; half as much is enough there.
    The group's ranges ascend.
    """
    if _height(scan, modality) < TWO_UNITS * _height(group[-1], modality):
        return False
    most, theirs = _bulk(scan, modality), [_bulk(each, modality) for each in group]
    return min(most, *theirs) <= 0 or most >= TWO_UNITS / 2 * median(theirs)


def _groups(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Two or more groups of scans that differ by factors, or else by their lowest values, and none of them is most."""
    sizes = [size(scan, modality) for scan in scans]
    if min(sizes, default=0) <= 0:
        return
    by_scale = grouped(list(np.log(sizes)), float(np.log(TWO_SCALES)))
    if not has_majority(by_scale):
        groups = [[scans[at] for at in sorted(group)] for group in by_scale]
        usual = [median(sizes[at] for at in group) for group in by_scale]
        if usual[-1] >= TWO_UNITS * usual[0]:
            yield Odd(None, _not_one_unit(groups, usual, modality), refused=True)
        else:
            yield Odd(
                None,
                f"{modality} falls into {len(groups)} groups of scale: {_ladder(groups, usual)}; which is right is "
                "for you to say",
            )
        return
    firsts = [float(_values(scan, modality)["first"]) for scan in scans]
    by_level = grouped([first / float(np.median(sizes)) for first in firsts], ODD_LEVEL)
    if not has_majority(by_level):
        levels = [median(firsts[at] for at in group) for group in by_level]
        told = " and ".join(
            f"at about {level:.4g} in {named([scans[at].scan_id for at in sorted(group)])}"
            for level, group in zip(levels, by_level, strict=True)
        )
        yield Odd(None, f"{modality} falls into {len(by_level)} groups of level: it begins {told}")


def _not_one_unit(groups: Sequence[Sequence[Scan]], usual: Sequence[float], modality: str) -> str:
    return f"{modality} cannot be in one unit with itself: {_ladder(groups, usual, modality)}"


def _ladder(groups: Sequence[Sequence[Scan]], usual: Sequence[float], modality: str | None = None) -> str:
    """Groups in words, ascending, with the factor to the one before; and their medians, of a modality."""
    told = []
    for at, group in enumerate(groups):
        factor = "" if at == 0 else f"about {usual[at] / usual[at - 1]:.3g} times as much in "
        each = (
            ""
            if modality is None
            else f", median {median(_values(scan, modality)['median'] for scan in group):.4g}"
        )
        told.append(f"{factor}{named([scan.scan_id for scan in group])}{each}")
    return ", ".join(told)


def _outliers(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    sizes = np.array([size(scan, modality) for scan in scans])
    if len(scans) < FEW or (sizes <= 0).any():
        return
    logs = np.log(sizes / np.median(sizes))
    usual = max(grouped(list(logs), float(np.log(TWO_SCALES))), key=len)
    most = limit([float(logs[at]) for at in usual], float(np.log(ODD_SCALE)))
    together = _minorities(logs)
    throughout = _throughout(scans, modality, logs)
    firsts = np.array([_values(scan, modality)["first"] for scan in scans])
    levels = (firsts - np.median(firsts)) / np.median(sizes)
    elsewhere = limit([float(level) for level in levels], ONE_LEVEL, LEVEL_SDS)
    for at, (scan, log, level) in enumerate(zip(scans, logs, levels, strict=True)):
        if abs(log) > most or at in together:
            others = f", one of {together[at]} scans of such a scale" if at in together else ""
            yield Odd(scan.scan_id, f"{modality} is {times(float(np.exp(log)))} the cohort's median{others}")
        elif at in throughout:
            ratio = times(float(np.exp(throughout[at])))
            yield Odd(
                scan.scan_id,
                f"{modality} is {ratio} the cohort's median, in bright and in usual tissue alike, as by a factor (in "
                "SUV, a weight in pounds, another dose or decay)",
            )
        elif abs(level) > elsewhere:
            yield Odd(
                scan.scan_id, f"{modality} begins elsewhere than in most scans: {_range(scan, modality)}"
            )


def _throughout(scans: Sequence[Scan], modality: str, logs: NDArray[np.float64]) -> dict[int, float]:
    """Positions of scans whose bright and usual tissue both lie a factor from the cohort's, each with its logarithm.

    logs: (scans,), of each scan's `size` to the median. One of the two alone differs by how much of what is shown:
    the tissue's median on MRI of limbs up to 3 times, for fat.
    """
    usual = np.array([_usual(scan, modality) for scan in scans])
    if (usual <= 0).any():
        return {}
    others = np.log(usual / np.median(usual))
    both = (logs + others) / 2
    most = limit([float(each) for each in both], float(np.log(ONE_SCALE)))
    each = np.where(logs * others > 0, np.minimum(np.abs(logs), np.abs(others)), 0)
    far = (each > np.log(EACH_SCALE)) & (np.abs(both) > most)
    return {int(at): float(both[at]) for at in np.flatnonzero(far)}


def _usual(scan: Scan, modality: str) -> float:
    """How far the tissue's median lies above the lowest values; 0 where the scan shows none but the lesion."""
    facts = _values(scan, modality)
    return 0.0 if facts["tissue"] is None else float(facts["tissue"]["median"] - facts["first"])


def _minorities(logs: NDArray[np.float64]) -> dict[int, int]:
    """Positions of scans in groups of two and more that stand apart from the one that most scans are in, each with the
    size of its group; none where no group is most."""
    groups = grouped(list(logs), float(np.log(MINORITY_GAP)))
    if not has_majority(groups):
        return {}
    usual = max(groups, key=len)
    return {at: len(group) for group in groups if group is not usual and len(group) > 1 for at in group}


def _values(scan: Scan, modality: str) -> ValueFacts:
    return scan.placement["values"][modality]


def _height(scan: Scan, modality: str) -> float:
    facts = _values(scan, modality)
    return float(facts["high"] - facts["low"])


def _bulk(scan: Scan, modality: str) -> float:
    facts = _values(scan, modality)
    return float(facts["last"] - facts["first"])


def _range(scan: Scan, modality: str) -> str:
    facts = _values(scan, modality)
    return f"{facts['low']:.4g} to {facts['high']:.4g}, median {facts['median']:.4g}"
