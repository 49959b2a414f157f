"""What is odd about lesions: more than a lesion can be, in air, of a shape or size that the others have not."""

from collections.abc import Iterator, Sequence
from math import exp, log
from statistics import median

from data_prep.oddities.oddity import LEAST_SCANS, MASK, Odd, limit, times
from hnscc.base.in_words import count_of
from hnscc.cohort.store_format import Scan

MAX_LESION_SHARE = 0.25  # of the grid, or of the body
IN_AIR_SHARE, MOSTLY_IN_AIR_SHARE = 0.1, 0.5  # of the lesion: told, and refused
ODD_VOLUME_TIMES = 3.0  # times larger or smaller than the median of the other scans with lesion


def odd_lesions(scans: Sequence[Scan]) -> Iterator[Odd]:
    """What is odd about each scan's lesion, by itself and against the other scans with lesion."""
    ill = [scan for scan in scans if scan.has_lesion]
    yield from _empty(scans)
    for scan in scans:
        yield from _share(scan)
    for scan in ill:
        yield from _shape(scan)
    if len(ill) < LEAST_SCANS:
        return
    yield from _volumes(ill)
    yield from _boxes(ill)


def _empty(scans: Sequence[Scan]) -> Iterator[Odd]:
    free = [scan for scan in scans if not scan.has_lesion]
    empty = [scan for scan in free if scan.placement["lesion"]["drawn_on"]]
    if len(empty) < len(free) / 2:
        for scan in empty:
            yield Odd(
                scan.scan_id,
                "the mask is empty; most scans without lesion have no mask: was it lost?",
                files=(MASK,),
            )


def _share(scan: Scan) -> Iterator[Odd]:
    lesion = scan.placement["lesion"]
    whole = lesion.get("share_of_whole", lesion["share_of_body"])
    for part, share in (("grid", lesion["share_of_grid"]), ("body", whole)):
        if share > MAX_LESION_SHARE:
            told = f"{share:.0%} of the {part} is lesion ({lesion['ml']:.4g} ml)"
            yield Odd(scan.scan_id, f"{told}: is the mask inverted?", files=(MASK,), refused=True)
            return
    if lesion["share_of_body"] > MAX_LESION_SHARE:
        yield Odd(
            scan.scan_id,
            f"{lesion['share_of_body']:.0%} of the body in the stored slices is lesion, of that in the whole field of "
            f"view {whole:.0%}: the slices show little else; with a larger --size they show more",
            files=(MASK,),
        )
    if lesion["share_in_air"] > IN_AIR_SHARE:
        yield Odd(
            scan.scan_id,
            f"{lesion['share_in_air']:.0%} of the lesion lies in air, outside of the body: does the mask belong here?",
            files=(MASK,),
            refused=lesion["share_in_air"] > MOSTLY_IN_AIR_SHARE,
        )


def _shape(scan: Scan) -> Iterator[Odd]:
    spanned, left_out = (scan.placement["lesion"][name] for name in ("spanned", "left_out"))
    if spanned:
        yield Odd(
            scan.scan_id,
            f"the lesion reaches from border to border of the plane in {spanned} of {count_of(scan.slices, 'slice')}",
            files=(MASK,),
        )
    if left_out:
        yield Odd(
            scan.scan_id,
            f"the mask leaves out {count_of(left_out, 'slice')} between slices with lesion at the same place:"
            " were they drawn?",
            files=(MASK,),
        )


def _volumes(ill: Sequence[Scan]) -> Iterator[Odd]:
    # Volumes are kept in steps of 0.1 mm3: less than half of that is kept as none.
    measured = [scan for scan in ill if scan.placement["lesion"]["ml"] > 0]
    if len(measured) < LEAST_SCANS:
        return
    usual = median(scan.placement["lesion"]["ml"] for scan in measured)
    logs = [log(scan.placement["lesion"]["ml"] / usual) for scan in measured]
    most = limit(logs, log(ODD_VOLUME_TIMES))
    for scan, each in zip(measured, logs, strict=True):
        if abs(each) > most:
            yield Odd(
                scan.scan_id,
                f"the lesion is {times(exp(each))} the median lesion ({scan.placement['lesion']['ml']:.4g} ml, "
                f"{usual:.4g} ml)",
                files=(MASK,),
            )


def _boxes(ill: Sequence[Scan]) -> Iterator[Odd]:
    boxes = [scan for scan in ill if scan.placement["lesion"]["box"]]
    if len(boxes) < len(ill) / 2:
        for scan in boxes:
            yield Odd(
                scan.scan_id,
                "the lesion is a box with straight edges, which it is in few others",
                files=(MASK,),
            )
