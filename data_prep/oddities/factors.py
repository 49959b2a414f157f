"""Finds scans whose tissue is brighter or darker by one factor throughout: one scan, several, or half of a cohort.

The brightness of tissue differs between patients; a factor multiplies all of its values, the bright and the usual.
"""

import math
from collections.abc import Sequence

import numpy as np

from data_prep.oddities.oddity import MAJORITY_SHARE, limit
from hnscc.base.arrays import Bools, Floats
from hnscc.cohort.store_format import Scan

# For one scan whose tissue is of another scale in all of `COMPARED`: the value that differs least between scans must
# differ by the larger factor, and by robust standard deviations; each of the others by at least the lesser factor.
# Pounds for kilograms make SUV 2.2 times as large. By this, PET of 34 real patients differs by 1.8 times at most, or
# 3.3 deviations. Of 14 of them, chosen at random, one PET would be reported in 4 of 100 tries.
COMPARED = ("median", "upper", "last")
ONE_SCALE_TIMES, ONE_SCALE_SDS, EACH_SCALE_TIMES = 1.9, 4.0, 1.1
# For two groups of scans that differ by less than patients do, so that there is no gap between them: so many scans at
# least; so much of the variance lies between the groups (in one normal group more than 0.82 occurs once in 100 cohorts
# of 20 scans, and 0.77 in those of 34; PET of the public cohort has 0.67, MRI 0.78); each group has a fifth of the
# scans at least; and the medians of all of `COMPARED` are so many times apart.
LEAST_PARTED_SCANS, EXPLAINED_SHARE, LEAST_PART_SHARE, LEAST_APART_TIMES = 16, 0.82, 0.2, 1.25


def throughout(scans: Sequence[Scan], modality: str) -> dict[int, float]:
    """Return the positions of scans whose tissue, bright and usual, is brighter or darker by a factor, each with
    its logarithm.

    The factor is that of the value that differs least between scans. A single value may differ by what is shown: the
    median of tissue on MRI of limbs by up to 3 times, because of fat. Several scans of another scale change what the
    others are compared with. So those found are left out, and the rest is judged again, then with bounds halfway to
    those found.
    """
    each = _logarithms(scans, modality)
    if each is None:
        return {}
    rest = np.ones(len(scans), bool)
    bounds = np.log([1 / ONE_SCALE_TIMES, ONE_SCALE_TIMES])
    found, least = _beyond(each, rest, bounds)
    while found.any() and (rest & ~found).mean() >= MAJORITY_SHARE:
        rest &= ~found
        _, least = _beyond(each, rest, bounds)
        found, least = _beyond(each, rest, _nearer(least[~rest], bounds))
        found &= rest
    return {int(at): float(least[at]) for at in np.flatnonzero(~rest)}


def _beyond(each: Floats, usual: Bools, bounds: Floats) -> tuple[Bools, Floats]:
    """Return which scans lie beyond the bounds, bool (n,), and the logarithms (n,) of the value that differs least.

    each: logarithms (m, n) of m values of n scans. usual: (n,), the scans that others are compared with. bounds: (2,),
    the lower and upper one, logarithms of factors.
    """
    apart = each - np.median(each[:, usual], axis=1, keepdims=True)
    least = min(apart, key=lambda values: float(np.median(np.abs(values[usual]))))
    most = limit(least[usual], 0.0, ONE_SCALE_SDS)
    alike = np.min(apart * np.sign(least), axis=0) > np.log(EACH_SCALE_TIMES)
    far = (least < min(bounds[0], -most)) | (least > max(bounds[1], most))
    return alike & far, least


def _nearer(found: Floats, bounds: Floats) -> Floats:
    """Return the bounds (2,), moved halfway towards the scans that were found on a side where there are several
    of them.

    Scans beyond are nearer to those than to the others. found: (n,), and bounds: (2,), all of them logarithms
    of factors.
    """
    sides = found[found < 0], found[found > 0]
    halfway = [
        float(np.median(side)) / 2 if len(side) > 1 else bound
        for side, bound in zip(sides, bounds, strict=True)
    ]
    return np.array([max(bounds[0], halfway[0]), min(bounds[1], halfway[1])])


def halves(scans: Sequence[Scan], modality: str) -> tuple[list[list[Scan]], list[float]] | None:
    """Return two groups of scans whose scales differ by less than those of patients may, with their medians; None
    without any.

    Each median is a share of the cohort's. Of all ways to divide the scans by one of the values, the one that explains
    most of its variance is judged.
    """
    each = _logarithms(scans, modality) if len(scans) >= LEAST_PARTED_SCANS else None
    if each is None:
        return None
    explained, parts, which = max((*parted(values), at) for at, values in enumerate(each))
    medians = np.array([[np.median(values[part]) for part in parts] for values in each])
    if explained < EXPLAINED_SHARE or (medians[:, 1] - medians[:, 0]).min() < np.log(LEAST_APART_TIMES):
        return None
    return [[scans[at] for at in part] for part in parts], [
        float(np.exp(middle)) for middle in medians[which]
    ]


def parted(values: Floats) -> tuple[float, list[list[int]]]:
    """Return the share of the variance of values (n,), in any unit, that lies between two groups, and their positions.

    The groups are those for which it is largest; each holds at least a fifth of the values.
    """
    order, least = np.argsort(values, kind="stable"), math.ceil(LEAST_PART_SHARE * len(values))
    found = []
    for at in range(least, len(values) - least + 1):
        low, high = values[order[:at]], values[order[at:]]
        within = (low.var() * len(low) + high.var() * len(high)) / len(values)
        found.append((1 - float(within / max(values.var(), 1e-12)), at))
    explained, at = max(found)
    return explained, [sorted(map(int, order[:at])), sorted(map(int, order[at:]))]


def _logarithms(scans: Sequence[Scan], modality: str) -> Floats | None:
    """Return the logarithms of `COMPARED` above the lowest values, each less its median: (values, scans).

    None is returned where a scan shows nothing above its lowest values.
    """
    found = [_above(scan, modality) for scan in scans]
    if any(value <= 0 for each in found for value in each):
        return None
    logs: Floats = np.log(np.array(found, np.float64)).T
    return logs - np.median(logs, axis=1, keepdims=True)


def _above(scan: Scan, modality: str) -> list[float]:
    """Return how far values of the tissue lie above the lowest ones; 0 where the scan shows nothing but the lesion."""
    facts = scan.placement["values"][modality]
    tissue = facts["tissue"]
    return [0.0 if tissue is None else float(tissue[name] - facts["first"]) for name in COMPARED]
