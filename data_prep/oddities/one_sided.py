"""Finds what tells scans with lesion from those without by their files alone: a model could learn it instead
of lesions.

There are two bounds. What a file *is* (its numbers, its words) varies from scanner to scanner, so a difference is
reported where it is unlikely to be chance: `one_sided`. How a file was *taken*, by rules of this program, must never
differ between the two sides unnoticed, however few the scans: `taken_otherwise` reports it where it holds for half of
the scans more on one side.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from data_prep.oddities.oddity import Odd, of_cohort
from hnscc.base.arrays import Bools, Floats, Texts
from hnscc.base.in_words import count_of
from hnscc.cohort.placement import Placement, unseen_slices
from hnscc.cohort.store_format import Scan

# The least difference between the shares of scans with and without lesion that were taken in one way.
TAKEN_APART_SHARE = 0.5
# The least difference between the shares of scans with and without lesion for which a property holds.
APART_SHARE = 0.75
# The probability of such a difference by chance, over all properties of a modality that vary.
CHANCE_PROBABILITY = 0.05
DIGITS = 3  # digits by which numbers are reported and compared

# Numbers of a scan's modality, from its facts (data_prep.placing.found), by their names.
NUMBERS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "pixels in mm": lambda facts: float(np.sqrt(facts["spacing"][0] * facts["spacing"][1])),
    "distance of slices in mm": lambda facts: float(facts["spacing"][2]),
    "extent from left to right in mm": lambda facts: float(facts["shape"][0] * facts["spacing"][0]),
    "extent from front to back in mm": lambda facts: float(facts["shape"][1] * facts["spacing"][1]),
    "extent from foot to head in mm": lambda facts: float(facts["shape"][2] * facts["spacing"][2]),
    "tilt in degrees": lambda facts: float(facts["tilt"]),
    "share of the lowest value": lambda facts: float(facts["lowest"]),
    "share of the grid covered": lambda facts: float(facts["coverage"]),
    "share of slices without an image": lambda facts: float(facts["absent"]),
}
# Words of a scan's modality, by their keys: what they are called.
WORDS = {
    "axes": "axes of the file",
    "kind": "kind of file",
    "numbers": "number type",
    "scaling": "scaling of values",
    "codes": "codes of orientation",
    "unit": "unit of lengths",
}
# How a scan's modality may have been taken, as a sentence says it: whether it was, and which of WORDS says the same.
TAKEN: dict[str, tuple[Callable[[Placement, str], bool], str]] = {
    "is placed by its sform alone": (lambda facts, name: _orientation(facts, name) == "sform", "codes"),
    "is placed by its qform alone": (lambda facts, name: _orientation(facts, name) == "qform", "codes"),
    "is read from DICOM": (lambda facts, name: _orientation(facts, name) == "DICOM", "kind"),
    "held NaN": (lambda facts, name: facts["values"][name]["nan"] > 0, ""),
    "had a value that stands for nothing": (lambda facts, name: bool(facts["values"][name]["padding"]), ""),
    "does not show all slices": (lambda facts, name: bool(unseen_slices(facts, [name])), ""),
}


def taken_otherwise(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence for each way in which a modality was taken far more often with lesion than without, or
    the reverse."""
    with_lesion = _have_lesion(scans)
    for modality in modalities:
        for what, holds in _told_ways(scans, modality, with_lesion).items():
            with_, without = (int(holds[side].sum()) for side in (with_lesion, ~with_lesion))
            yield of_cohort(
                f"{modality} {what} in {with_} of {count_of(with_lesion.sum(), 'scan')} with lesion and in "
                f"{without} of {(~with_lesion).sum()} without: a model could tell them apart by it",
            )


def _told_ways(scans: Sequence[Scan], modality: str, with_lesion: Bools) -> dict[str, Bools]:
    """Return the ways that are reported, and whether each scan's modality was taken so: (scans,).

    with_lesion: which scans have a lesion, (scans,).
    """
    if not with_lesion.any() or with_lesion.all():
        return {}
    ways = {
        what: np.array([taken(scan.placement, modality) for scan in scans])
        for what, (taken, _) in TAKEN.items()
    }
    return {
        what: holds
        for what, holds in ways.items()
        if abs(holds[with_lesion].mean() - holds[~with_lesion].mean()) >= TAKEN_APART_SHARE
    }


def _orientation(facts: Placement, modality: str) -> str:
    return facts["values"][modality]["orientation"]


def _have_lesion(scans: Sequence[Scan]) -> Bools:
    """Return which scans have a lesion: (scans,)."""
    return np.array([scan.has_lesion for scan in scans], dtype=bool)


def one_sided(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """Yield a sentence for each modality whose files differ, nearly without exception, between scans with and
    without lesion.

    A number counts where one bound separates the scans, and a word where one side has it: the shares of scans must
    differ by three quarters, and by more than chance (Kolmogorov-Smirnov's exact test, Fisher's exact test, with
    Bonferroni's correction for the properties that vary). Nothing is said where scans are so few that it may be chance,
    nor of a word that `taken_otherwise` reports for the same scans.
    """
    with_lesion = _have_lesion(scans)
    if not with_lesion.any() or with_lesion.all():
        return
    for modality in modalities:
        facts = [_facts(scan, modality) for scan in scans]
        numbers = {
            name: np.array([float(f"{number(each):.{DIGITS}g}") for each in facts])
            for name, number in NUMBERS.items()
        }
        words = {
            name: np.array([_unit(each["written"]) if key == "unit" else _word(each, key) for each in facts])
            for key, name in WORDS.items()
        }
        ways = _told_ways(scans, modality, with_lesion)
        known = {
            name: [holds for what, holds in ways.items() if TAKEN[what][1] == key]
            for key, name in WORDS.items()
        }
        varying = sum(len(set(values.tolist())) > 1 for values in (*numbers.values(), *words.values()))
        told = [
            *(_parted(name, values, with_lesion, varying) for name, values in numbers.items()),
            *(_had(name, values, with_lesion, varying, known[name]) for name, values in words.items()),
        ]
        if texts := [text for text in told if text]:
            yield of_cohort(
                f"{modality} files differ between scans with lesion and those without: {'; '.join(texts)}. "
                "Do they come from other machines or programs, by which a model could tell them apart?",
            )


def _facts(scan: Scan, modality: str) -> dict[str, Any]:
    placement = scan.placement
    return {
        **placement["inputs"][modality],
        "coverage": placement["coverage"][modality],
        "absent": placement["absent"][modality],
    }


def _word(facts: Mapping[str, Any], key: str) -> str:
    """Return what a file says by a key of WORDS; "" where its kind of file has no such word."""
    return str(facts.get(key, facts["written"].get(key, "")))


def _unit(written: Mapping[str, str]) -> str:
    """Return the unit of lengths that a file states, "" for none: NIfTI may leave it out, and Analyze always does.
    Lengths of other kinds are in mm, or the file was refused."""
    unit = written.get("unit", "unknown" if written["kind"] == "Analyze" else "mm")
    return "" if unit == "unknown" else unit


def _parted(name: str, values: Floats, with_lesion: Bools, tests: int) -> str:
    """Return how the best bound separates the scans, in words; "" where it does not do so well enough.

    values: (scans,) of a property, in its own unit. with_lesion: which scans have a lesion, (scans,). tests: how many
    properties vary.
    """
    bounds = np.unique(values)[1:]
    if not len(bounds):
        return ""
    share, other = ((values[side] >= bounds[:, None]).mean(axis=1) for side in (with_lesion, ~with_lesion))
    best = int(np.argmax(np.abs(share - other)))
    apart = abs(share[best] - other[best])
    with warnings.catch_warnings():
        # Where p is 1 but rounded up, SciPy warns that it approximates; the approximation is 1, too.
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning)
        p = stats.ks_2samp(values[with_lesion], values[~with_lesion], method="exact").pvalue
    if not _counts(apart, p, tests, two=len(bounds) == 1):
        return ""
    return f"{name} at least {bounds[best]:g} in {_sides(values >= bounds[best], with_lesion)}"


def _had(name: str, values: Texts, with_lesion: Bools, tests: int, known: Sequence[Bools]) -> str:
    """Return which word one side has and the other has not; "" where there is none, or it separates the scans in a
    known way.

    values, with_lesion: (scans,), as in `_parted`. known: each (scans,), whether something that is known holds for
    the scan.
    """
    words = sorted(set(values.tolist()))
    for word in words:
        holds = values == word
        counts = [
            [int((holds & side).sum()), int((~holds & side).sum())] for side in (with_lesion, ~with_lesion)
        ]
        apart = abs(holds[with_lesion].mean() - holds[~with_lesion].mean())
        p = stats.fisher_exact(counts).pvalue
        if _counts(apart, p, tests * (len(words) - 1), two=len(words) == 2):
            parts_alike = any((holds == other).all() or (holds != other).all() for other in known)
            return "" if parts_alike else f"{name} {word or 'not stated'} in {_sides(holds, with_lesion)}"
    return ""


def _counts(apart: float, p: float, tests: int, two: bool) -> bool:
    """Return whether a difference is reported.

    two: whether the property has two values in the whole cohort. If each side has one of them, no other split
    was tried.
    """
    return apart >= APART_SHARE and p <= (
        CHANCE_PROBABILITY if two and apart == 1 else CHANCE_PROBABILITY / tests
    )


def _sides(holds: Bools, with_lesion: Bools) -> str:
    """Return for how many scans on either side something `holds`, in words. holds, with_lesion: (scans,)."""
    with_, without = (f"{(holds & side).sum()} of {side.sum()}" for side in (with_lesion, ~with_lesion))
    return f"{with_} with lesion, {without} without"
