"""Finds values that are not as measured: overflowed, cut off at the top, scaled slice by slice, rounded, or inverted.

Where values are inverted, air is bright. A volume has mostly air at its sides, and mostly air or dark tissue inside.
Where both lie between the 1st and the 99th percentile shows inversion, whatever the unit of values.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from statistics import median

from data_prep.oddities.oddity import LEAST_SCANS, Odd, has_majority, of_cohort, of_some, scans_in_words
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import NumberFacts
from hnscc.cohort.store_format import Scan

# Of air (`air_height`): lower is dark, higher is bright, and between is neither.
DARK_HEIGHT, BRIGHT_HEIGHT = 0.4, 0.6


def inverted(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """Yield what is odd about which scans are bright where there is air; nothing of few scans."""
    heights = {scan.scan_id: air_height(scan, modality) for scan in scans}
    dark = [name for name, height in heights.items() if height is not None and height <= DARK_HEIGHT]
    bright = [name for name, height in heights.items() if height is not None and height >= BRIGHT_HEIGHT]
    if len(scans) < LEAST_SCANS or not (dark and bright):
        return
    if has_majority([dark, bright]):
        fewer, more, how = (dark, bright, "dark") if len(dark) < len(bright) else (bright, dark, "bright")
        other = {"dark": "bright", "bright": "dark"}[how]
        for name in fewer:
            yield Odd(
                name,
                f"{modality} is {how} at its rim and in most voxels, {other} in "
                f"{count_of(len(more), 'other')}: is it inverted?",
                files=(modality,),
                shown=((name, modality),),
            )
    else:
        yield of_cohort(
            f"{modality} is dark at its rim and in most voxels in {scans_in_words(dark)}, bright there in "
            f"{scans_in_words(bright)}: are some inverted?",
        )


def air_height(scan: Scan, modality: str) -> float | None:
    """Return where the rim and the median of a volume lie between its 1st and 99th percentile, on average: 0 to 1.

    It is None where the volume is of one value or has no rim.
    """
    facts = scan.placement["values"][modality]
    span, rim = facts["last"] - facts["first"], facts["rim"]
    if rim is None or span <= 0:
        return None
    heights = [min(1.0, max(0.0, (value - facts["first"]) / span)) for value in (rim, facts["median"])]
    return sum(heights) / 2


# Of the voxels, at exactly the highest value: a window cut it off; other scans have 1e-5.
HIGHEST_SHARE = 3e-4
SPIKE_TIMES = 3.0  # times as many as at the next lower value: images of few values have several at both
WRAPPED_VOXELS = 3  # voxels
# Times fewer different values than the median scan, which must have so many at least.
COARSER_TIMES, GRADED_VALUES = 20, 100
# Of the voxels; of the way to the brightest; times the median scan's gap.
EMPTIED_SHARE, GAP_SHARE, WIDER_TIMES = 0.02, 0.01, 20.0
ALIKE_SLICES_SHARE = 0.9  # of the slices, with the same highest value; scans of any kind have 0.3


def odd_numbers(
    scans: Sequence[Scan], modalities: Sequence[str], dark: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality whose values cannot be those that were measured.

    Values that overflowed their type and begin again at its lowest are refused. The others are only reported, since
    somebody may have meant them. dark: scans with a modality that is not judged by its highest values: it is inverted,
    so that air has these, or it holds defects far above all others, which may be as high as one another.
    """
    for modality in modalities:
        for text, refused, holds in KINDS:
            chosen = [
                scan
                for scan in scans
                if holds(scan.placement["numbers"][modality])
                and (refused or (scan.scan_id, modality) not in dark)
            ]
            yield from of_some(scans, chosen, f"{modality} {text}", files=(modality,), refused=refused)


def not_measured(scan: Scan, modality: str) -> bool:
    """Return whether a sentence of `odd_numbers` holds for a scan; no one does where only its values are kept."""
    numbers = scan.placement.get("numbers")
    return numbers is not None and any(holds(numbers[modality]) for _, _, holds in KINDS)


def scaled_by_themselves(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on each modality whose highest value is the same in all scans without being cut off there.

    Each scan was scaled by itself, to 0..1 or to the range of a number type, or its scale factor was lost.
    """
    for modality in modalities:
        highest = {scan.placement["values"][modality]["high"] for scan in scans}
        top = [scan.placement["numbers"][modality]["highest"] for scan in scans]
        if len(scans) >= LEAST_SCANS and len(highest) == 1 and max(top) == 0:
            all_of_them = count_of(len(scans), "scan")
            yield of_cohort(
                f"{modality} has the same highest value in all {all_of_them}, {highest.pop():.4g}: was each scaled by "
                "itself, or its scale factor lost? Values of one scan then say nothing of another's"
            )


def rounded(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality with far fewer different values than most, as after rounding.

    Scans with a few voxels far above all others are left out, since float32 rounds what was scaled by these. Of the
    public cohort's 34 scans none has less than a ninth of the median scan's.
    """
    for modality in modalities:
        counts = [scan.placement["values"][modality]["signal"]["values"] for scan in scans]
        usual = median(counts)
        few = [
            scan
            for scan, count in zip(scans, counts, strict=True)
            if COARSER_TIMES * count < usual and not scan.placement["numbers"][modality]["peaks"]
        ]
        text = f"{modality} has less than 1/{COARSER_TIMES} of the median scan's different values: it was rounded"
        yield from (
            of_some(scans, few, text, files=(modality,))
            if usual >= GRADED_VALUES and len(scans) >= LEAST_SCANS
            else ()
        )


def emptied(
    scans: Sequence[Scan], modalities: Sequence[str], known: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """Yield a sentence on the scans of each modality in which many voxels hold the lowest value and all others lie
    far above.

    That is how a scan looks when low values were set to 0. Scans `known` to look otherwise for a reported reason, such
    as a root, are left out. In the public cohort no PET begins above 0.0001, and no MRI above 0.02.
    """
    for modality in modalities:
        numbers = [scan.placement["numbers"][modality] for scan in scans]
        if len(scans) < LEAST_SCANS:
            return
        least = max(GAP_SHARE, WIDER_TIMES * median(each["gap"] for each in numbers))
        found = [
            scan
            for scan, each in zip(scans, numbers, strict=True)
            if each["lowest"] >= EMPTIED_SHARE
            and each["gap"] >= least
            and (scan.scan_id, modality) not in known
        ]
        text = f"{modality} holds no low values beside its lowest one, which many voxels have: were some set to it?"
        yield from of_some(scans, found, text, files=(modality,))


def _wrapped(numbers: NumberFacts) -> bool:
    return bool(numbers["wrapped"] >= WRAPPED_VOXELS)


def _cut(numbers: NumberFacts) -> bool:
    return bool(numbers["highest"] >= HIGHEST_SHARE and numbers["highest"] >= SPIKE_TIMES * numbers["below"])


def _by_slices(numbers: NumberFacts) -> bool:
    return bool(numbers["slices_alike"] >= ALIKE_SLICES_SHARE and not _cut(numbers))


# What may hold for the numbers of a scan's modality, in words; and whether it is refused.
KINDS: tuple[tuple[str, bool, Callable[[NumberFacts], bool]], ...] = (
    (
        "falls from its highest to its lowest values between voxels side by side: numbers too large for the file's "
        "number type began again at its lowest; export it again with a larger type or a scale",
        True,
        _wrapped,
    ),
    (
        "is cut off at its highest value, which far too many voxels hold: it was exported as shown, through a window, "
        "and what was brighter is lost",
        False,
        _cut,
    ),
    (
        "has the same highest value in nearly every slice: each slice has a scale of its own, and slices cannot be "
        "compared",
        False,
        _by_slices,
    ),
)
