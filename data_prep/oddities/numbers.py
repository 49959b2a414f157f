"""Values that are not what they were: wrapped round, cut off at the top, scaled slice by slice, rounded; dark and
bright exchanged against the other scans, so that air is bright.

Where a volume ends sideways there is mostly air, and most of a volume is air or dark tissue. How high both stand
between the 1st and the 99th percentile tells of inversion, whatever the unit of values.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from statistics import median

from data_prep.oddities.oddity import LEAST_SCANS, Odd, has_majority, of_cohort, of_some, scans_in_words
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import NumberFacts
from hnscc.cohort.store_format import Scan

DARK_HEIGHT, BRIGHT_HEIGHT = 0.4, 0.6  # of air (`air_height`); what lies between is neither


def inverted(scans: Sequence[Scan], modality: str) -> Iterator[Odd]:
    """What is odd about which scans are bright where there is air; of few scans nothing."""
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
    """How high the rim and the median of a volume stand between its 1st and 99th percentile, on average: 0 to 1.

    None where the volume is of one value or has no rim.
    """
    facts = scan.placement["values"][modality]
    span, rim = facts["last"] - facts["first"], facts["rim"]
    if rim is None or span <= 0:
        return None
    heights = [min(1.0, max(0.0, (value - facts["first"]) / span)) for value in (rim, facts["median"])]
    return sum(heights) / 2


HIGHEST_SHARE = 3e-4  # of the voxels, at exactly the highest value: a window; scans of any kind have 1e-5
SPIKE_TIMES = 3.0  # times as many as at the next lower value: images of few values have several at both
WRAPPED_VOXELS = 3  # voxels
# Times fewer different values than the median scan has, which has so many at least.
COARSER_TIMES, GRADED_VALUES = 20, 100
# Of the voxels; of the way to the brightest; times the median scan's.
EMPTIED_SHARE, GAP_SHARE, WIDER_TIMES = 0.02, 0.01, 20.0
ALIKE_SLICES_SHARE = 0.9  # of the slices, of one and the same highest value; in scans of any kind 0.3


def odd_numbers(
    scans: Sequence[Scan], modalities: Sequence[str], dark: Container[tuple[str, str]] = ()
) -> Iterator[Odd]:
    """A sentence on the scans of each modality whose values cannot be those that were measured.

    Values that are too large for their type and begin again at its lowest are refused; the others are told, since
    somebody may have wanted them. dark: scans with a modality that is inverted, of which they are not: air has their
    highest value; or that holds defects far above all others, which may be as high as one another.
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
    """Return whether a sentence of `odd_numbers` holds; a scan of which nothing but values is kept has none."""
    numbers = scan.placement.get("numbers")
    return numbers is not None and any(holds(numbers[modality]) for _, _, holds in KINDS)


def scaled_by_themselves(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """A sentence on the cohort, of each modality whose highest value is the same in all scans and is not cut off there:
    each was scaled by itself, to 0..1 or to the range of a number type, or its scale factor was lost."""
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
    """A sentence on the scans of each modality whose values are far fewer than those of most scans, as after rounding
    to whole numbers; not on those with a few voxels far above all others, beside which float32 rounds what was scaled.
    Of the public cohort's 34 scans none has less than a ninth of the median scan's."""
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
    """A sentence on the scans of each modality in which values begin far above the lowest one, which many voxels hold,
    as after setting low values to 0; not on those `known` to look otherwise for a reason that is told: a root, say. Of
    the public cohort's PET none begins above 0.0001, of its MRI above 0.02."""
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


# What may hold for the numbers of a modality of a scan, in words; whether it is refused.
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
