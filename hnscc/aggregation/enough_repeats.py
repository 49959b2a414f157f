"""Decides which variants of a run folder have enough repeats by now.

It looks at what Table 1 shows of the repeats, the pooled Dice of the test slices at 0.5, and only at its spread:
neither its height nor a difference between variants decides how many repeats are trained. Looking repeatedly does not
lower the level of the interval: in the tests' simulation it covers the median about 95 times in 100, since with few
values it covers it more often.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hnscc.aggregation.results import Results, read_trials, repeat_slices
from hnscc.scores.intervals import RepeatsForWidth, is_known_within, repeats_for_width, unknown
from hnscc.scores.metrics import DICE
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.section_schema import UntilPrecise
from hnscc.study.trials import Trial, looks_at


def settle(folder: RunFolder, study: Study, left: Iterable[Trial]) -> Study:
    """Return the study with the number of repeats that is enough for each variant by now: the first look at which the
    median was known within `until`.

    left: trials that are neither completed nor failed; not read where the study has no such rule. The same trials give
    the same result, however often the study was interrupted.
    """
    rule = study.repeats
    if not isinstance(rule, UntilPrecise):
        return study
    study = study.model_copy(update={"repeats": rule.model_copy(update={"enough": {}})})
    left = list(left)
    results: Results | None = None
    enough = {}
    for variant in study.variants:
        own = [trial.repeat for trial in left if trial.variant == variant]
        for look in looks_at(rule):
            if any(repeat < look for repeat in own):
                break
            results = results or read_trials(folder, study)
            if is_known_within(_scores(results, variant, look), rule.until):
                enough[variant] = look
                break
    return study.model_copy(update={"repeats": rule.model_copy(update={"enough": enough})})


@dataclass(frozen=True)
class RepeatsShown:
    """What a variant's repeats show. scores: the pooled test Dice at 0.5 of each repeat that is completed in every
    fold, in the order of repeats. mostly_collapsed: whether more than half of its completed trials collapsed."""

    scores: list[float]
    mostly_collapsed: bool

    def repeats_for_width(self, within: float) -> RepeatsForWidth:
        """Return how many repeats it takes until the 95 % interval of the median test Dice extends at most `within` (0
        to 1) to either side; none where the variant mostly collapsed."""
        if self.mostly_collapsed:
            marked = "more than half of its trainings marked no pixel at or above 0.5 in validation and test"
            return unknown(len(self.scores), f"it mostly collapsed ({marked})")
        return repeats_for_width(self.scores, within)


def repeats_shown(results: Results) -> dict[str, RepeatsShown]:
    """Return what each variant's completed repeats show."""
    return {
        variant: RepeatsShown(
            _scores(results, variant, results.study.most_repeats), results.mostly_collapsed(variant)
        )
        for variant in results.study.variants
    }


def _scores(results: Results, variant: str, repeats: int) -> list[float]:
    first = replace(results, results=tuple(each for each in results.results if each.trial.repeat < repeats))
    return [float(each) for each in DICE.of(repeat_slices(first, variant, "test").counts.pooled())]
