"""Which repeats of two variants are compared in pairs: those that shared their seeds by design, and no others."""

from dataclasses import replace

from hnscc.aggregation.results import Results
from hnscc.base import fewest


def paired_results(results: Results, a: str, b: str) -> tuple[Results, bool]:
    """Return what two variants are compared by, and whether repeat r of one is compared with repeat r of the other.

    They are where the study's repeats are paired, and both variants completed at least 5 of the same ones in all folds:
    a repeat that one of them lacks is then left out of both. Neither their correlation nor a p has a say in it.
    """
    if not results.study.paired:
        return results, False
    both = results.completed_in_all_folds(a).keys() & results.completed_in_all_folds(b).keys()
    if len(both) < fewest.PAIRED_REPEATS:
        return results, False
    kept = tuple(
        each for each in results.results if each.trial.variant not in (a, b) or each.trial.repeat in both
    )
    return replace(results, results=kept), True
