"""What is odd about lesions: more than a lesion can be, in air, of a shape that none has, unlike the other scans'."""

from collections.abc import Iterator, Sequence
from math import exp, log
from statistics import median

from data_prep.oddities.oddity import FEW, Odd, limit, times
from hnscc.cohort.store_format import Scan

MAX_LESION = 0.25  # of the grid, or of the body
IN_AIR, MOSTLY_IN_AIR = 0.1, 0.5  # of the lesion: told, and refused
ODD_VOLUME = 3.0  # times larger or smaller than the median of the other scans with lesion
STANDS_OUT = 2.0  # times brighter or darker than tissue: lesions that a modality shows
NOT_SEEN = 2.5  # times less bright, or dark, against tissue than the median lesion is


def odd_lesions(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """What is odd about each scan's lesion, by itself and against the other scans with lesion."""
    ill = [scan for scan in scans if scan.placement["lesion"]["ml"] > 0]
    yield from _empty(scans)
    for scan in scans:
        yield from _share(scan)
    for scan in ill:
        yield from _shape(scan)
    if len(ill) < FEW:
        return
    yield from _volumes(ill)
    yield from _boxes(ill)
    for modality in modalities:
        yield from _contrasts(ill, modality)


def _empty(scans: Sequence[Scan]) -> Iterator[Odd]:
    free = [scan for scan in scans if not any(scan.source_lesion_px)]
    empty = [scan for scan in free if scan.placement["lesion"]["drawn_on"]]
    if len(empty) < len(free) / 2:
        for scan in empty:
            yield Odd(scan.scan_id, "the mask is empty; most scans without lesion have no mask: was it lost?")


def _share(scan: Scan) -> Iterator[Odd]:
    lesion = scan.placement["lesion"]
    for part in ("grid", "body"):
        if lesion[f"share_of_{part}"] > MAX_LESION:
            share = f"{lesion[f'share_of_{part}']:.0%} of the {part} is lesion ({lesion['ml']:.4g} ml)"
            yield Odd(scan.scan_id, f"{share}: is the mask inverted?", refused=True)
            return
    if lesion["share_in_air"] > IN_AIR:
        yield Odd(
            scan.scan_id,
            f"{lesion['share_in_air']:.0%} of the lesion lies in air, outside of the body: does the mask belong here?",
            refused=lesion["share_in_air"] > MOSTLY_IN_AIR,
        )


def _shape(scan: Scan) -> Iterator[Odd]:
    if scan.placement["lesion"]["spanned"]:
        yield Odd(
            scan.scan_id,
            f"the lesion reaches from border to border of the plane in {scan.placement['lesion']['spanned']} of "
            f"{scan.slices} slices",
        )


def _volumes(ill: Sequence[Scan]) -> Iterator[Odd]:
    usual = median(scan.placement["lesion"]["ml"] for scan in ill)
    logs = [log(scan.placement["lesion"]["ml"] / usual) for scan in ill]
    most = limit(logs, log(ODD_VOLUME))
    for scan, each in zip(ill, logs, strict=True):
        if abs(each) > most:
            yield Odd(
                scan.scan_id,
                f"the lesion is {times(exp(each))} the median lesion ({scan.placement['lesion']['ml']:.4g} ml, "
                f"{usual:.4g} ml)",
            )


def _boxes(ill: Sequence[Scan]) -> Iterator[Odd]:
    boxes = [scan for scan in ill if scan.placement["lesion"]["box"]]
    if len(boxes) < len(ill) / 2:
        for scan in boxes:
            yield Odd(scan.scan_id, "the lesion is a box with straight edges, which it is in few others")


def _contrasts(ill: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Lesions that a modality does not show as it does those of the other scans: of another scan, or misplaced."""
    found = [(scan, contrast) for scan in ill if (contrast := _contrast(scan, modality)) is not None]
    if len(found) < FEW:
        return
    logs = [log(contrast) for _, contrast in found]
    usual = median(logs)
    if abs(usual) < log(STANDS_OUT):
        return
    most = limit([each - usual for each in logs], log(NOT_SEEN))
    for (scan, contrast), each in zip(found, logs, strict=True):
        if (usual - each) * (1 if usual > 0 else -1) > most:
            yield Odd(
                scan.scan_id,
                f"the lesion does not stand out on {modality}: {contrast:.3g} times as bright as tissue, the median "
                f"lesion {exp(usual):.3g} times; does the mask belong here?",
            )


def _contrast(scan: Scan, modality: str) -> float | None:
    """The lesion's median above the lowest values, as a multiple of the other tissue's; None where there is none."""
    facts, value = scan.placement["values"][modality], scan.placement["lesion"]["medians"][modality]
    if value is None or facts["tissue"] is None or facts["tissue"]["median"] <= facts["first"]:
        return None
    span = facts["tissue"]["median"] - facts["first"]
    return float(max((value - facts["first"]) / span, 0.01))
