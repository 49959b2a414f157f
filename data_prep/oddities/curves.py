"""Finds scans whose values went through a curve (a square, a root), or fade along an axis, unlike others of a cohort.

A factor changes neither, since ratios of values of one scan's tissue are compared, outside of its lesion.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from data_prep.oddities.oddity import LEAST_SCANS, Odd, limit, robust_sd
from data_prep.oddities.scales import height
from data_prep.placing.edges import SIDES
from hnscc.base.arrays import Floats
from hnscc.cohort.store_format import Scan

# Ratios of a darker to a brighter value of the tissue; a curve x ** g multiplies the logarithm of each by g.
RATIOS = (("middle", "bright"), ("dark", "bright"), ("middle", "top"))
# How far g must be from 1: a root has 1/2, a square 2. The ratio that differs least between scans must differ by so
# many robust standard deviations too, and each of the others by at least `ALSO_POWER`. Nothing is said where scans
# differ by more than `UNLIKE_LOGARITHM`: made-up heads differ by 0.04 to 0.11, the limbs of the public cohort by 0.22
# on PET and 0.29 on MRI.
CURVED_POWER, CURVED_SDS, ALSO_POWER, UNLIKE_LOGARITHM = 1.5, 5.0, 1.25, 0.15
# A few unlike scans may agree in one ratio by chance. So the scans that are not reported must differ by no more than
# `UNLIKE_LOGARITHM` in `OWN_RATIOS` too, measured by the deviation within which this share of them lies, divided by
# that of a normal distribution. By this, 24 made-up cohorts of heads differ by 0.06 to 0.1, the limbs by 0.3 on PET and
# 0.5 on MRI.
LIKE_SHARE, LIKE_SDS = 0.75, 1.15
# Ratios of values of the tissue that the modality itself shows; their mean must be at least `ALSO_POWER` too. If
# another modality went through a curve, that one shows more or less of the body, so that other places of this one are
# compared above; these ratios do not change then.
OWN_RATIOS = (("upper", "last"), ("last", "high"))
# A logarithm of SUV acts on tissue like a power of about 0.77, and more strongly on brighter values: up to the scan's
# highest value like a power of 0.5. What the highest value says, at `CURVED_POWER` and `ODD_SDS`, counts where all
# ratios of the tissue agree at `NEARER_POWER`. It is not enough alone: 2 of 24 made-up cohorts hold a scan at 1 / 1.4.
NEARER_POWER = 1.05
# Times that one half of the tissue is brighter than the other, compared with the other scans: at most 1.19 in made-up
# heads. Nothing is said where scans differ by more than `UNEVEN_LOGARITHM`: these differ by 0.09, the limbs by 0.15
# and more.
FADED_TIMES, FADED_SDS, UNEVEN_LOGARITHM = 1.35, 6.0, 0.12


def curved(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on each scan whose dark and bright values differ more or less than in other scans, as by
    a curve."""
    tissue = _tissue(scans, modality)
    if len(tissue) < LEAST_SCANS:
        return
    powers = [found for names in RATIOS if (found := _powers(tissue, *names)) is not None]
    if len(powers) < len(RATIOS):
        return
    least = min(powers, key=lambda each: float(np.median(np.abs(each))))
    if robust_sd(least) > UNLIKE_LOGARITHM:
        return
    most = limit(least, float(np.log(CURVED_POWER)), CURVED_SDS)
    alike = np.min(np.array(powers) * np.sign(least), axis=0) > np.log(ALSO_POWER)
    compared = [scan for scan, _ in tissue]
    own = _own_powers(compared, modality)
    alike &= ~(own * np.sign(least) <= np.log(ALSO_POWER))  # where it is unknown, the others decide
    nearer = np.max([*powers, own], axis=0) < -np.log(NEARER_POWER)
    highest = _highest_powers(compared, modality)
    nearer &= highest < -limit(highest, float(np.log(CURVED_POWER)))
    beyond = alike & (np.abs(least) > most)
    if _differ_by(own[~(beyond | nearer)]) > UNLIKE_LOGARITHM:
        return
    for (scan, _), each, by_power, by_logarithm in zip(tissue, least, beyond, nearer, strict=True):
        if by_power:
            how = "nearer to one another" if each < 0 else "farther apart"
            power = f"a power of about {np.exp(each):.2g} (a root has 0.5, a square 2)"
            why = f"as if its values had been raised to {power}"
        elif by_logarithm:
            how, why = "nearer to one another", "the highest value most of all, as a logarithm leaves them"
        else:
            continue
        yield Odd(
            scan.scan_id,
            f"dark and bright tissue lie {how} in {modality} than in the other scans, {why}; or its contrast is "
            "another, or another modality's: look at the pictures",
            files=(modality,),
            shown=((scan.scan_id, modality),),
        )


def fading(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield a sentence on each scan of which one half is brighter, relative to the other half, than in other scans.

    It is for one new scan, since a study keeps no images of its own; data_prep.oddities.fades compares scans of a
    cohort place by place.
    """
    tissue = _tissue(scans, modality)
    if len(tissue) < LEAST_SCANS:
        return
    for one, two in SIDES:
        both = _above_lowest(tissue, (one, two))
        if both is None:
            continue
        logs = np.log(both[0] / both[1])
        logs -= np.median(logs)
        if robust_sd(logs) > UNEVEN_LOGARITHM:
            continue
        most = limit(logs, float(np.log(FADED_TIMES)), FADED_SDS)
        for (scan, _), each in zip(tissue, logs, strict=True):
            if abs(each) > most:
                yield Odd(
                    scan.scan_id,
                    f"{modality} is brighter to the {one if each > 0 else two} than to the {two if each > 0 else one}, "
                    f"beside the other scans, by {np.exp(abs(each)):.3g} times between both halves of the tissue: does "
                    "it fade, or another modality, or do they show another part of the body? Look at the pictures",
                    files=(modality,),
                    shown=((scan.scan_id, modality),),
                )


_Tissue = Sequence[tuple[Scan, dict[str, float]]]


def _tissue(
    scans: Sequence[Scan], modality: str, of: Literal["elsewhere", "tissue"] = "elsewhere"
) -> _Tissue:
    """Return the scans with the values of the body, where the other modalities show it (or as `of` says), less the
    scan's lowest value."""
    found = []
    for scan in scans:
        facts = scan.placement["values"][modality]
        if (values := facts[of]) is not None:
            found.append((scan, {name: value - facts["first"] for name, value in values.items()}))
    return found


def _above_lowest(tissue: _Tissue, names: Sequence[str]) -> list[Floats] | None:
    """Return the values of these names above the scan's lowest, (scans,) each, raw; None where one is not above it,
    since there is no ratio then."""
    values = [np.array([each[name] for _, each in tissue], np.float64) for name in names]
    return values if all((each > 0).all() for each in values) else None


def _own_powers(scans: Sequence[Scan], modality: str) -> Floats:
    """Return what `_powers` returns for tissue that the modality itself shows, the mean over `OWN_RATIOS`:
    (scans,) logarithms.

    It is NaN where a scan shows no tissue, or where there are no ratios.
    """
    found = _tissue(scans, modality, "tissue")
    powers = [each for names in OWN_RATIOS if found and (each := _powers(found, *names)) is not None]
    own = dict.fromkeys((scan.scan_id for scan in scans), np.nan)
    if len(powers) == len(OWN_RATIOS):
        own |= zip((scan.scan_id for scan, _ in found), np.mean(powers, axis=0), strict=True)
    return np.array(list(own.values()), np.float64)


def _highest_powers(scans: Sequence[Scan], modality: str) -> Floats:
    """Return what `_powers` returns for the scan's highest value and the brightest tenth of its tissue:
    (scans,) logarithms.

    All are NaN where some scan shows no tissue, or where there are no ratios.
    """
    found = [
        (scan, {**tissue, "highest": height(scan, modality)})
        for scan, tissue in _tissue(scans, modality, "tissue")
    ]
    powers = _powers(found, "last", "highest") if len(found) == len(scans) else None
    return np.full(len(scans), np.nan) if powers is None else powers


def _differ_by(own: Floats) -> float:
    """Return by how much scans differ, as a standard deviation that up to a quarter of outliers does not change.

    More scans count than in the median deviation, which a few scans may have small by chance. It is 0 where nothing is
    known. own: (n,) logarithms, NaN where unknown.
    """
    known = own[np.isfinite(own)]
    if not known.size:
        return 0.0
    return float(np.quantile(np.abs(known - np.median(known)), LIKE_SHARE)) / LIKE_SDS


def _powers(tissue: _Tissue, dark: str, bright: str) -> Floats | None:
    """Return the logarithm, (scans,), of the power to which each scan's values seem raised compared with the
    median scan."""
    both = _above_lowest(tissue, (dark, bright))
    if both is None or (both[0] >= both[1]).any():
        return None
    logs = np.log(both[1] / both[0])
    powers: Floats = np.log(logs / np.median(logs))
    return powers
