"""Which trainings a search wants next, and what it found: a function of its scores alone, whoever trains.

    race = Race(rules, epochs, propose)
    wanted = race.advance({})           # {(configuration, repeat): up to which epoch; None: to the end}
    while wanted:
        wanted = race.advance(train(wanted))
    race.standings()

The same scores give the same wishes: a search that was killed is asked again from the start, and what is trained
already is not trained twice. A score is a training's best validation score (soft Jaccard, 0..1, higher is better) up
to an epoch; a configuration's is the mean over its repeats. Repeat r of every configuration shares its seeds, so
that configurations are compared in pairs.

First every configuration gets its first repeats. Across epochs, at a ninth and a third of them, the rule `stopping`
ends those that lag behind. What is left of the budget is then run in rounds of about equal cost (sequential halving,
Karnin et al. 2013): before each, a paired test dismisses who is worse than the leader, and the better half of
the others goes on, with ever more repeats each, until two have had their round. The tests of all rounds together
dismiss the best configuration with a probability of at most `level` (Bonferroni over rounds and rivals).
"""

import math
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

import numpy as np

from hnscc.scores.intervals import FEWEST_FOR_MEAN, mean_interval
from hnscc.scores.paired_tests import Paired, paired_t
from hnscc.study.ranges import Setting, kept_of, number_of, rungs_of
from hnscc.study.schema import Search

Key = tuple[int, int]  # configuration, repeat; both from 0
Wanted = dict[Key, int | None]  # up to which epoch; None: to the end
Propose = Callable[[Sequence[tuple[Setting, float]], int], list[Setting]]

NO_SCORE = {
    "failed": "a training failed",
    "stopped": "stopped before its last epoch",
    "untrained": "the budget was spent before",
}
# TPE learns from generation to generation; the others propose all at once.
GENERATIONS = 4


@dataclass(frozen=True)
class Curve:
    """What a training has shown.

    scores: the validation score after each epoch. ended: it trains no further, by its own patience or its last epoch.
    failed: it ended in an error, after these epochs. took: seconds of each epoch. gpus: its share of one.
    """

    scores: tuple[float, ...]
    ended: bool
    failed: bool = False
    took: tuple[float, ...] = ()
    gpus: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(self.took)

    def up_to(self, until: int | None) -> "Curve":
        """As it was when it paused there: whoever asks again later hears the same, even if it has failed since."""
        if until is None or len(self.scores) < until or (len(self.scores) == until and not self.failed):
            return self
        return replace(self, scores=self.scores[:until], took=self.took[:until], ended=False, failed=False)

    def best(self, until: int | None = None) -> float:
        """The best score so far; 0, the least there is, before any."""
        return max(self.scores[:until], default=0.0)


@dataclass(frozen=True)
class Batch:
    """Trainings that were wanted at once: the epochs that each took then, and the leader's score after them."""

    epochs: dict[Key, int]
    leader_score: float | None


@dataclass(frozen=True)
class Standing:
    """What a search found of one configuration.

    score: mean over its repeats, with its 95 % t interval (None below 3 repeats). place: winner;
    not_distinguished (from the winner, at `level` over all that are compared); dismissed (worse by a paired test);
    set_aside (one repeat, which nothing can be tested on); stopped (across epochs); failed; untrained. behind: the
    winner's score less this one's over their common repeats (pairs), with its 95 % interval and one-sided p. round:
    the last one that it ran in, 0 being its first repeats.
    """

    configuration: int
    place: str
    repeats: int
    score: float | None
    score_sd: float | None
    score_low: float | None
    score_high: float | None
    round: int
    pairs: int | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    p_worse: float | None = None
    reason: str | None = None


@dataclass
class Race:
    """See the module. rules: of the study. epochs: of a whole training.

    propose(told, n): n settings, given what has been scored. side_by_side: trials that run at once, for `hours`.
    """

    rules: Search
    epochs: int
    propose: Propose
    side_by_side: float = 1.0
    configurations: list[Setting] = field(default_factory=list)
    curves: dict[Key, Curve] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)  # of those that have left the race
    rounds: dict[int, int] = field(default_factory=dict)
    spent_early: bool = False  # the budget was spent before every configuration had its first repeats
    now: str = ""  # what is wanted, for a reader
    batches: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = self._run()
        self._wanted: Wanted = {}
        self._asked: Wanted = {}

    def advance(self, curves: Mapping[Key, Curve]) -> Wanted:
        """Take what was trained; what is wanted next, nothing once the search is over."""
        self.curves |= {key: curve.up_to(self._wanted[key]) for key, curve in curves.items()}
        while True:
            self._wanted = {
                key: until for key, until in self._wanted.items() if not self._reached(key, until)
            }
            if self._wanted:
                return dict(self._wanted)
            if self._asked:
                self.batches.append(self._batch())
            self._asked = {}
            try:
                self._wanted = next(self._steps)
            except StopIteration:
                return {}
            self._asked = dict(self._wanted)

    def _reached(self, key: Key, until: int | None) -> bool:
        curve = self.curves.get(key)
        if curve is None:
            return False
        return curve.ended or curve.failed or (until is not None and len(curve.scores) >= until)

    def _batch(self) -> Batch:
        """What was asked and has been trained."""
        before: Counter[Key] = Counter()
        for batch in self.batches:
            before.update(batch.epochs)
        took = {key: len(self.curves[key].scores) - before[key] for key in self._asked}
        ranked = self._ranked(self._scored())
        return Batch(took, self.score(ranked[0]) if ranked else None)

    # --- first repeats

    def _run(self) -> Generator[Wanted, None, None]:
        total = number_of(self.rules)
        generations = max(1, min(GENERATIONS, total // 3)) if self.rules.method == "tpe" else 1
        for generation in range(generations):
            size = (total + generation) // generations
            if not size or self.spent_early:
                continue
            first = len(self.configurations)
            told = [(self.configurations[c], self._shown(c)) for c in range(first)]
            self.configurations += self.propose(told, size)
            yield from self._first_repeats(list(range(first, len(self.configurations))))
        yield from self._rounds()

    def _first_repeats(self, members: list[int]) -> Generator[Wanted, None, None]:
        repeats = range(self.rules.repeats.first)
        for rung in self._rungs():
            yield from self._affordable_batches([(c, r) for r in repeats for c in members], rung)
            if self.spent_early:
                return
            members = self._stop([c for c in members if c not in self.places], rung)
        yield from self._affordable_batches([(c, r) for r in repeats for c in members], None)

    def _affordable_batches(self, keys: list[Key], until: int | None) -> Generator[Wanted, None, None]:
        """All at once: a budget of trials was seen to take them. One of time may be spent on the way: then as many as
        run side by side, again and again."""
        timed = self.rules.budget.hours is not None or self.rules.budget.gpu_hours is not None
        size = max(1, int(self.side_by_side)) if timed else max(1, len(keys))
        for start in range(0, len(keys), size):
            if self._affordable() < 1:
                self.spent_early = True
                return
            wanted = [(c, r) for c, r in keys[start : start + size] if c not in self.places]
            self.now = "first repeats" + (f" up to epoch {until}" if until else "")
            yield dict.fromkeys(wanted, until)
            self._note_failures([c for c, _ in wanted])

    def _rungs(self) -> list[int]:
        return [] if self.rules.stopping == "none" else rungs_of(self.epochs)

    def _stop(self, members: list[int], rung: int) -> list[int]:
        """Who goes on beyond this epoch: by the mean over the first repeats of the best score until then.

        successive_halving: who is among the best third. median: who is not below the median of the running
        averages, as in Vizier's rule. Both of all that have ever reached the epoch, earlier generations too; all
        members have reached it when it is decided: who came first does not count.
        """
        curves = self._reaching(rung)
        best = {c: fmean(each.best(rung) for each in curves[c]) for c in curves}
        if self.rules.stopping == "successive_halving":
            order = sorted(curves, key=lambda c: (-best[c], c))
            among = set(order[: kept_of(len(order))])
        else:
            bar = median([fmean(fmean(each.scores[:rung]) for each in curves[c]) for c in curves] or [0.0])
            among = {c for c in curves if best[c] >= bar}
        kept = [c for c in members if c in among]
        self.places |= {c: "stopped" for c in members if c not in kept}
        return kept

    def _reaching(self, rung: int) -> dict[int, list[Curve]]:
        """The first repeats of each configuration, failed ones apart, all of which were trained up to an epoch or
        ended by themselves before."""
        found = {}
        for c in range(len(self.configurations)):
            own = [self.curves.get((c, r)) for r in range(self.rules.repeats.first)]
            curves = [
                each for each in own if each and each.scores and (each.ended or len(each.scores) >= rung)
            ]
            if len(curves) == len(own) and self.places.get(c) != "failed":
                found[c] = curves
        return found

    def _note_failures(self, members: Sequence[int]) -> None:
        for (c, _), curve in self.curves.items():
            if curve.failed and c in members:
                self.places.setdefault(c, "failed")

    # --- rounds

    def _rounds(self) -> Generator[Wanted, None, None]:
        running = self._ranked(self._scored())
        looks = self._looks(len(running))
        number = raced = 0
        while len(running) > 1:
            self.places |= dict.fromkeys(self._worse(running, looks), "dismissed")
            running = [c for c in running if c not in self.places]
            if len(running) < 2 or raced == 2:  # two that had a round to themselves are the last two
                break
            running = running[: max(2, math.ceil(len(running) / 2))]
            affordable = self._affordable(running)
            running = running[: max(1, min(len(running), affordable))]
            left = math.ceil(math.log2(len(running))) or 1
            n = self.repeats(running[0])
            more = min(max(1, affordable // (left * len(running))), self.rules.repeats.most - n)
            if len(running) < 2 or more < 1:
                break
            number, raced = number + 1, len(running)
            self.rounds |= dict.fromkeys(running, number)
            self.now = f"round {number}: {len(running)} configurations, {more} more repeats each"
            yield {(c, r): None for r in range(n + more) for c in running if r >= self.repeats(c)}
            self._note_failures(running)
            running = self._ranked([c for c in running if c not in self.places])

    def _looks(self, n: int) -> int:
        """At most how often the tests look: before every round, and at the end."""
        return max(1, math.ceil(math.log2(max(2, n)))) + 1

    def _worse(self, running: list[int], looks: int) -> list[int]:
        """Who is worse than the leader, the first of `running`, by the paired test."""
        level = self.rules.level / looks / max(1, len(running) - 1)
        tests = self._tests(running)
        return [c for c in running[1:] if (p := tests[c].p) is not None and p < level]

    # --- what has been spent

    def _affordable(self, running: Sequence[int] = ()) -> int:
        """How many more whole trainings, at the price of those of `running` so far (of all, if none is named)."""
        budget = self.rules.budget
        kinds = (
            (budget.trials, lambda curve: len(curve.scores) / self.epochs, 1.0),
            (budget.hours and budget.hours * 3600 * self.side_by_side, lambda curve: curve.seconds, 0.0),
            (budget.gpu_hours and budget.gpu_hours * 3600, lambda curve: curve.seconds * curve.gpus, 0.0),
        )
        whole = [
            each
            for (c, _), each in self.curves.items()
            if each.ended and not each.failed and (not running or c in running)
        ]
        left = [10**9]
        for limit, cost, least in kinds:
            if limit is not None:
                price = fmean(map(cost, whole)) if whole else least
                rest = limit - sum(map(cost, self.curves.values()))
                # A hair's breadth of rounding must not cost a training.
                left.append(0 if rest <= 0 else int(rest / price + 1e-9) if price else 10**9)
        return max(0, min(left))

    # --- scores

    def repeats(self, c: int) -> int:
        """How many repeats of a configuration were trained to their end, counted from the first without a gap."""
        n = 0
        while (curve := self.curves.get((c, n))) and curve.ended and not curve.failed:
            n += 1
        return n

    def scores(self, c: int) -> list[float]:
        return [self.curves[c, r].best() for r in range(self.repeats(c))]

    def score(self, c: int) -> float:
        return fmean(self.scores(c))

    def _shown(self, c: int) -> float:
        """The mean of whatever its repeats have shown, to learn from: also of one that was stopped; 0 if one failed."""
        if self.places.get(c) == "failed":
            return 0.0
        return fmean([curve.best() for (each, _), curve in self.curves.items() if each == c] or [0.0])

    def _scored(self) -> list[int]:
        """Those still in the race that were trained to the end."""
        every = range(len(self.configurations))
        return [c for c in every if c not in self.places and self.repeats(c)]

    def _ranked(self, members: Sequence[int]) -> list[int]:
        """Best first: more repeats before a higher score (a lucky first repeat is no lead), ties in their order."""
        return sorted(members, key=lambda c: (-self.repeats(c), -self.score(c), c))

    def _tests(self, running: list[int]) -> dict[int, Paired]:
        """Of each configuration against the first of `running`; see `paired_t`."""
        leader, *others = running
        tests = {}
        for c in others:
            n = self.repeats(c)
            block = [each for each in running if self.repeats(each) >= n]
            scores = np.array([self.scores(each)[:n] for each in block])
            tests[c] = paired_t(scores, block.index(leader), block.index(c))
        return tests

    # --- the end

    def standings(self) -> list[Standing]:
        """Every configuration, the winner first, then by repeats and score."""
        every = range(len(self.configurations))
        trained = self._ranked([c for c in every if self.places.get(c) != "failed" and self.repeats(c)])
        in_race = [c for c in trained if c not in self.places]
        winner = in_race[0] if in_race else None
        order = [winner, *(c for c in trained if c != winner)] if in_race else []
        tests = self._tests(order) if order else {}
        level = self.rules.level / self._looks(len(order)) / max(1, len(order) - 1)
        rest = [c for c in every if c not in order]
        return [self._standing(c, winner, tests.get(c), level) for c in [*order, *rest]]

    def _standing(self, c: int, winner: int | None, test: Paired | None, level: float) -> Standing:
        scores = self.scores(c)
        place = self.places.get(c)
        if c == winner:
            place = "winner"
        elif place is None:
            place = _judged(test, level)
        found = _described(scores)
        reason = None
        if not scores:
            reason = NO_SCORE[place]
        elif len(scores) < FEWEST_FOR_MEAN:
            reason = f"an interval needs at least {FEWEST_FOR_MEAN} repeats"
        shown = {} if test is None else _shown(test)
        return Standing(c, place, len(scores), *found, self.rounds.get(c, 0), reason=reason, **shown)


def _judged(test: Paired | None, level: float) -> str:
    """The place of one that is still in the race at its end, beside the winner."""
    if test is None:
        return "untrained"
    if test.p is None:
        return "set_aside"
    return "dismissed" if test.p < level else "not_distinguished"


def _described(scores: list[float]) -> tuple[float | None, float | None, float | None, float | None]:
    """Mean, standard deviation (n - 1), and the ends of the 95 % t interval of the mean."""
    if not scores:
        return None, None, None, None
    sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    interval = mean_interval(scores)
    return fmean(scores), sd, interval.low, interval.high


def _shown(test: Paired) -> dict[str, float | int | None]:
    """A test by the fields of a standing."""
    interval = test.interval()
    ends = {"behind_low": interval.low, "behind_high": interval.high}
    return {"pairs": test.n, "behind": test.difference, "p_worse": test.p} | ends
