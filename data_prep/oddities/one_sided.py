"""What tells scans with lesion from those without by their files alone: a model could learn it instead of lesions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data_prep.oddities.oddity import Odd
from hnscc.cohort.store_format import Scan

APART = 0.75  # difference between the shares of scans with and without lesion that a property holds for
CHANCE = 0.05  # probability that so much comes by chance, over all properties of a modality that vary
DIGITS = 3  # that a number is told and compared with

# Numbers of a modality of a scan, from its facts (data_prep.placing.found), by their names.
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
# Words of a modality of a scan, by their names.
WORDS = {
    "axes": "axes of the file",
    "kind": "kind of file",
    "numbers": "number type",
    "scaling": "scaling of values",
    "codes": "codes of orientation",
    "unit": "unit of lengths",
}


def one_sided(scans: Sequence[Scan], modalities: Sequence[str]) -> Iterator[Odd]:
    """A sentence for each modality whose files differ between scans with and without lesion, nearly without exception.

    A number counts where one bound parts the scans, and a word where one side has it: for shares of scans that differ
    by three quarters, and by more than chance gives (Kolmogorov-Smirnov's exact test, Fisher's exact test, with
    Bonferroni's correction for the properties that vary). Nothing is told of few scans, where chance can give it.
    """
    ill = np.array([scan.has_lesion for scan in scans], dtype=bool)
    if not ill.any() or ill.all():
        return
    for modality in modalities:
        facts = [_facts(scan, modality) for scan in scans]
        numbers = {
            name: np.array([_rounded(number(each)) for each in facts]) for name, number in NUMBERS.items()
        }
        words = {
            name: np.array([str(each.get(key, each["written"].get(key, ""))) for each in facts])
            for key, name in WORDS.items()
        }
        varying = sum(len(set(values.tolist())) > 1 for values in (*numbers.values(), *words.values()))
        told = [
            *(_parted(name, values, ill, varying) for name, values in numbers.items()),
            *(_had(name, values, ill, varying) for name, values in words.items()),
        ]
        if texts := [text for text in told if text]:
            yield Odd(
                None,
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


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _parted(name: str, values: NDArray[np.float64], ill: NDArray[np.bool_], tests: int) -> str:
    """How the best bound parts the scans; empty where it does not do so well."""
    bounds = np.unique(values)[1:]
    if not len(bounds):
        return ""
    with_, without = ((values[side] >= bounds[:, None]).mean(axis=1) for side in (ill, ~ill))
    best = int(np.argmax(np.abs(with_ - without)))
    apart = abs(with_[best] - without[best])
    p = stats.ks_2samp(values[ill], values[~ill], method="exact").pvalue
    if not _counts(apart, p, tests, two=len(bounds) == 1):
        return ""
    return f"{name} at least {bounds[best]:g} in {_sides(values >= bounds[best], ill)}"


def _had(name: str, values: NDArray[np.str_], ill: NDArray[np.bool_], tests: int) -> str:
    """Which word one side has and the other has not; empty where there is none."""
    words = sorted(set(values.tolist()))
    for word in words:
        holds = values == word
        table = [[int((holds & side).sum()), int((~holds & side).sum())] for side in (ill, ~ill)]
        apart = abs(holds[ill].mean() - holds[~ill].mean())
        if _counts(
            apart, stats.fisher_exact(table).pvalue, tests * max(1, len(words) - 1), two=len(words) == 2
        ):
            return f"{name} {word or 'not stated'} in {_sides(holds, ill)}"
    return ""


def _counts(apart: float, p: float, tests: int, two: bool) -> bool:
    """Whether a difference is told. Of a property that has two values in the whole cohort, one on each side, no other
    was looked for."""
    return apart >= APART and p <= (CHANCE if two and apart == 1 else CHANCE / tests)


def _sides(holds: NDArray[np.bool_], ill: NDArray[np.bool_]) -> str:
    with_, without = (f"{(holds & side).sum()} of {side.sum()}" for side in (ill, ~ill))
    return f"{with_} with lesion, {without} without"
