"""What `hnscc check` warns of: things that are allowed, but seldom meant."""

import itertools
from collections.abc import Iterator, Sequence

from hnscc.base.in_words import Sentence, listed, told_of_folds
from hnscc.cohort.splits import Division
from hnscc.study.identity import changed_settings
from hnscc.study.ranges import variants_to_try
from hnscc.study.schema import Study
from hnscc.study.trials import fold_name
from hnscc.training.ready import batches_in
from rayjobs.requests import more_threads_told


def warnings_of(study: Study, divisions: Sequence[Division]) -> list[str]:
    """Return what is doubtful about the study, and about its folds, each warning once."""
    told = [(each.fold, said) for each in divisions for said in (*each.told, *_lone_batches(study, each))]
    of_folds = told_of_folds(told, len(divisions), fold_name)
    return [
        *more_threads_told(study),
        *_variants_alike(study),
        *(f"{where}: {warning}" for where, warning in of_folds),
    ]


def _variants_alike(study: Study) -> Iterator[str]:
    """Say which variants have the same settings. Either one was copied and not changed, or the user tests the software,
    which must find no difference."""
    left = {name: variant.model_dump(mode="json") for name, variant in study.variants.items()}
    differ = (
        "nothing, for paired repeats share their seeds"
        if study.paired
        else "the seeds of their repeats alone"
    )
    while left:
        first = next(iter(left.values()))
        alike = [name for name, settings in left.items() if not changed_settings(first, settings)]
        if len(alike) > 1:
            yield f"variants {listed(alike)} have the same settings: they differ in {differ}"
        left = {name: settings for name, settings in left.items() if name not in alike}


def _lone_batches(study: Study, division: Division) -> Iterator[Sentence]:
    """Say which variants' batches, or those that a search may try, are larger than everything that a fold trains on."""
    slices = len(division.slices["train"])
    tried = (
        itertools.product(study.variants, variants_to_try(study)) if study.search else study.variants.items()
    )
    alike: dict[tuple[int, int], list[str]] = {}
    for name, variant in tried:
        size, largest = variant.training.batch_size, max(batches_in(variant, [slices]))
        if largest < size:
            alike.setdefault((size, largest), []).append(name)
    for (size, count), names in alike.items():
        of = "the search" if study.search else listed(names)
        least = (
            "an epoch is a single step, of ",
            (count, "slice"),
            f" in place of {size} (training.batch_size)",
        )
        yield Sentence((f"training of {of}: ", *least))
