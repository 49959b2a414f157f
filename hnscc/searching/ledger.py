"""The ledger of a race: which configurations were proposed and trained, which have left, what each has scored and what
it has cost. Trainings stand in it by configuration and repeat, each with how its scores rose (`Curve`).

It decides nothing: the rules are those of `race`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from hnscc.scores.paired_tests import Paired, paired_t
from hnscc.study.ranges import Configuration
from hnscc.study.search_schema import Budget

Key = tuple[int, int]  # configuration, repeat; both from 0
Wanted = dict[Key, int | None]  # after which epoch the training is to pause; None: it goes on to its end
UNLIMITED = 10**9


@dataclass(frozen=True)
class Curve:
    """How a training has gone so far.

    scores: the validation scores (soft Jaccard, 0..1) after each epoch. took: the seconds of each epoch. gpus: the
    share of a GPU that it had in each epoch. ended: it trains no further, because of its patience or because its last
    epoch is done, or because it failed. failed: it ended in an error, after these epochs.
    """

    scores: tuple[float, ...]
    ended: bool
    failed: bool = False
    took: tuple[float, ...] = ()
    gpus: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """The seconds for which it has trained."""
        return sum(self.took)

    @property
    def gpu_seconds(self) -> float:
        """How many seconds of a whole GPU it took; 0 where no share is known."""
        return sum(took * share for took, share in zip(self.took, self.gpus, strict=False))

    def paused(self, pause_after: int | None) -> "Curve":
        """Return the curve as it was when it paused after that epoch: a race that is asked again later must get the
        same answer, even if the training has failed since."""
        if pause_after is None or len(self.scores) < pause_after:
            return self
        if len(self.scores) == pause_after and not self.failed:
            return self
        each = {name: getattr(self, name)[:pause_after] for name in ("scores", "took", "gpus")}
        return replace(self, **each, ended=False, failed=False)

    def best(self, epochs: int | None = None) -> float:
        """Return the best score of the first `epochs`, or of all; 0, the lowest possible score, before any epoch."""
        return max(self.scores[:epochs], default=0.0)


@dataclass(frozen=True)
class Portion:
    """Trainings that were asked for at once: the epochs that each took then, and the leader's score after them."""

    epochs: dict[Key, int]
    leader_score: float | None


@dataclass
class Ledger:
    """What has happened so far, by configuration (counted from 0) and repeat.

    epochs: how many a whole training has. out: the configurations that are out of the race, each with how (stopped,
    failed or dismissed). rounds: the last round that each ran in, 0 being its first repeats. counted: how many repeats
    of a configuration count, where the budget was spent before all racing configurations had ended one more.
    """

    epochs: int
    configurations: list[Configuration] = field(default_factory=list)
    curves: dict[Key, Curve] = field(default_factory=dict)
    out: dict[int, str] = field(default_factory=dict)
    rounds: dict[int, int] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=dict)

    def note_failures(self, members: Sequence[int]) -> None:
        """Take those of `members` out of the race that have a failed training."""
        for (c, _), curve in self.curves.items():
            if curve.failed and c in members:
                self.out.setdefault(c, "failed")

    # --- scores

    def repeats(self, c: int) -> int:
        """Return how many repeats of a configuration were trained to their end, counted from the first without
        a gap."""
        n, most = 0, self.counted.get(c, UNLIMITED)
        while n < most and (curve := self.curves.get((c, n))) and curve.ended and not curve.failed:
            n += 1
        return n

    def scores(self, c: int) -> list[float]:
        """Return the best validation score of each of a configuration's `repeats`."""
        return [self.curves[c, r].best() for r in range(self.repeats(c))]

    def score(self, c: int) -> float:
        """Return the mean of a configuration's `scores`; raises StatisticsError where there is none."""
        return fmean(self.scores(c))

    def shown(self, c: int) -> float:
        """Return the mean of the best scores of its repeats so far, from which later proposals learn, also if it was
        stopped; 0 if it failed."""
        if self.out.get(c) == "failed":
            return 0.0
        return fmean([curve.best() for (each, _), curve in self.curves.items() if each == c] or [0.0])

    def reaching(self, epoch: int, repeats: int) -> dict[int, list[Curve]]:
        """Return the first `repeats` of each configuration in which all of these were trained up to an epoch or ended
        by themselves before. Failed configurations are left out."""
        found = {}
        for c in range(len(self.configurations)):
            own = [self.curves.get((c, r)) for r in range(repeats)]
            curves = [
                each for each in own if each and each.scores and (each.ended or len(each.scores) >= epoch)
            ]
            if len(curves) == len(own) and self.out.get(c) != "failed":
                found[c] = curves
        return found

    def racing(self) -> list[int]:
        """Return the configurations still in the race that were trained to the end, ranked."""
        every = range(len(self.configurations))
        return self.ranked([c for c in every if c not in self.out and self.repeats(c)])

    def ranked(self, members: Sequence[int]) -> list[int]:
        """Rank members, the best first: more repeats come before a higher score (a lucky first repeat is no lead), and
        equal ones keep their order."""
        return sorted(members, key=lambda c: (-self.repeats(c), -self.score(c), c))

    def tests(self, running: Sequence[int]) -> dict[int, Paired]:
        """Test each configuration against the first of `running`, over the repeats that both have.

        The variance is that of all of `running` with as many repeats; see `paired_t`.
        """
        leader, *others = running
        tests = {}
        for c in others:
            n = self.repeats(c)
            block = [each for each in running if self.repeats(each) >= n]
            scores = np.array([self.scores(each)[:n] for each in block])
            tests[c] = paired_t(scores, block.index(leader), block.index(c))
        return tests

    # --- what has been spent

    def affordable(self, budget: Budget, side_by_side: float, running: Sequence[int] = ()) -> int:
        """Return how many more whole trainings the budget pays for, at the price of those of `running` so far (of all,
        if none is named). side_by_side: how many trials run at once, for a budget of hours."""
        whole = [
            each
            for (c, _), each in self.curves.items()
            if each.ended and not each.failed and (not running or c in running)
        ]
        left = [self._left_of(budget.trials, self._of_a_training, whole, 1.0)]
        if budget.hours is not None:
            seconds = budget.hours * 3600 * side_by_side
            left.append(self._left_of(seconds, lambda curve: curve.seconds, whole))
        if budget.gpu_hours is not None:
            seconds = budget.gpu_hours * 3600
            left.append(self._left_of(seconds, lambda curve: curve.gpu_seconds, whole))
        return max(0, min(left))

    def surely_affords(self, budget: Budget, trainings: Sequence[Key]) -> bool:
        """Return whether a budget of trials pays for these too, even if each of them trains to its last epoch. For
        budgets of time this is always true, since nobody knows beforehand how long a training takes."""
        if budget.trials is None:
            return True
        most = sum(self._most_of_a_training(c) for c, _ in trainings)
        # A hair's breadth of rounding must not cost a training.
        return sum(map(self._of_a_training, self.curves.values())) + most <= budget.trials + 1e-9

    def epochs_left(self, budget: Budget) -> int:
        """Return how many more epochs a budget of trials pays for."""
        spent = sum(len(curve.scores) for curve in self.curves.values())
        return UNLIMITED if budget.trials is None else int(budget.trials * self.epochs + 1e-6) - spent

    def _most_of_a_training(self, c: int) -> float:
        return float(self.configurations[c].get("training.epochs", self.epochs)) / self.epochs

    def _of_a_training(self, curve: Curve) -> float:
        return len(curve.scores) / self.epochs

    def _left_of(
        self, limit: float | None, cost: Callable[[Curve], float], whole: Sequence[Curve], unknown: float = 0
    ) -> int:
        """Return how many more trainings one limit allows. unknown: the price before any training is whole."""
        if limit is None:
            return UNLIMITED
        price = fmean(map(cost, whole)) if whole else unknown
        rest = limit - sum(map(cost, self.curves.values()))
        if rest <= 0:
            return 0
        # A hair's breadth of rounding must not cost a training.
        return int(rest / price + 1e-9) if price else UNLIMITED
