"""Decides which trainings a search wants next, and what it found, from the scores alone, whoever trains.

    race = Race(rules, epochs, propose)
    wanted = race.advance({})           # {(configuration, repeat): after which epoch to pause; None: to the end}
    while wanted:
        wanted = race.advance(train(wanted))
    race.standings()

The same scores give the same requests: a search that was killed is asked again from the start, and whatever is trained
already is not trained twice. A score is a training's best validation score (soft Jaccard, 0..1, higher is better) up to
an epoch; a configuration's score is the mean over its repeats. Repeat r of every configuration shares its seeds, so
that configurations are compared in pairs.

First every configuration gets its first repeats. At a ninth and a third of their epochs, the rule `stopping` ends those
that lag behind. The rest of the budget is then spent in rounds of about equal cost (sequential halving, Karnin et al.
2013). Before each round, a paired test dismisses configurations that are worse than the leader, and the better half of
the others goes on, with more and more repeats each, until two have had their round. The tests of all rounds together
dismiss the best configuration with a probability of at most `level` (Bonferroni over rounds and rivals).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from hnscc.base.in_words import count_of
from hnscc.searching.ledger import Curve, Key, Ledger, Portion, Wanted
from hnscc.searching.standings import Standing, alpha_of_a_test, standings
from hnscc.study.ranges import Configuration, number_kept, number_to_try, rungs_of
from hnscc.study.search_schema import Search

Propose = Callable[[Sequence[tuple[Configuration, float]], int], list[Configuration]]
# TPE learns from generation to generation; the others propose all at once.
GENERATIONS = 4

# A rule of `search.stopping`. It is given the curves of each configuration's first repeats, all of which have reached
# an epoch, and that epoch, and returns which configurations go on.
Rule = Callable[[Mapping[int, Sequence[Curve]], int], set[int]]


def best_third(curves: Mapping[int, Sequence[Curve]], rung: int) -> set[int]:
    """Return the best third, by the mean of the repeats' best scores until then: successive halving."""
    best = _best(curves, rung)
    order = sorted(curves, key=lambda c: (-best[c], c))
    return set(order[: number_kept(len(order))])


def not_below_the_median(curves: Mapping[int, Sequence[Curve]], rung: int) -> set[int]:
    """Return those whose mean of the best scores until then is not below the median of all running averages:
    Vizier's rule."""
    averages = [fmean(fmean(each.scores[:rung]) for each in curves[c]) for c in curves]
    bar = median(averages or [0.0])
    return {c for c, score in _best(curves, rung).items() if score >= bar}


def _best(curves: Mapping[int, Sequence[Curve]], rung: int) -> dict[int, float]:
    return {c: fmean(each.best(rung) for each in curves[c]) for c in curves}


# The choices of `search.stopping` that stop configurations.
STOPPING: dict[str, Rule] = {"successive_halving": best_third, "median": not_below_the_median}


@dataclass
class Race:
    """A race under a study's `rules`, in which a whole training takes `epochs`; see the module.

    propose: `propose(told, n)` returns n settings, given pairs of what was tried and what it has scored. side_by_side:
    how many trials run at once, for a budget of hours. now: after `advance`, a text that says what is wanted. portions:
    those that were trained. spent_early: whether the budget was spent before every configuration had its first repeats.
    """

    rules: Search
    epochs: int
    propose: Propose
    side_by_side: float = 1.0
    ledger: Ledger = field(init=False)
    portions: list[Portion] = field(init=False, default_factory=list)
    spent_early: bool = field(init=False, default=False)
    now: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.epochs)
        self._steps = self._run()
        self._wanted: Wanted = {}
        self._asked: Wanted = {}

    @property
    def configurations(self) -> list[Configuration]:
        """The settings of each configuration, in the order proposed."""
        return self.ledger.configurations

    @property
    def curves(self) -> dict[Key, Curve]:
        """The curve of each training so far."""
        return self.ledger.curves

    def standings(self) -> list[Standing]:
        """Return what was found of every configuration, the winner first, then by repeats and score."""
        return standings(self.ledger, self.rules)

    # --- what is wanted, and what was trained of it

    def advance(self, curves: Mapping[Key, Curve]) -> Wanted:
        """Take what was trained, and return what is wanted next: nothing once the search is over."""
        self.curves.update({key: curve.paused(self._wanted[key]) for key, curve in curves.items()})
        while True:
            self._wanted = {
                key: pause_after for key, pause_after in self._wanted.items() if not self._reached(key)
            }
            if self._wanted:
                return dict(self._wanted)
            if self._asked:
                self.portions.append(self._portion())
            step = next(self._steps, None)
            if step is None:
                self._asked = {}
                return {}
            self._asked, self._wanted = step, dict(step)

    def _reached(self, key: Key) -> bool:
        """Return whether a training that is wanted has come as far as it is wanted."""
        curve, pause_after = self.curves.get(key), self._wanted[key]
        if curve is None:
            return False
        return curve.ended or (pause_after is not None and len(curve.scores) >= pause_after)

    def _portion(self) -> Portion:
        """Return what was asked for and has been trained."""
        before: Counter[Key] = Counter()
        for portion in self.portions:
            before.update(portion.epochs)
        took = {key: len(self.curves[key].scores) - before[key] for key in self._asked}
        racing = self.ledger.racing()
        return Portion(took, self.ledger.score(racing[0]) if racing else None)

    # --- first repeats

    def _run(self) -> Iterator[Wanted]:
        """Ask for the first repeats of every configuration, generation by generation, then for the rounds."""
        total = number_to_try(self.rules)
        generations = max(1, min(GENERATIONS, total // 3)) if self.rules.method == "tpe" else 1
        for generation in range(generations):
            if self.spent_early:
                break
            first = len(self.configurations)
            told = [(self.configurations[c], self.ledger.shown(c)) for c in range(first)]
            self.configurations.extend(self.propose(told, (total + generation) // generations))
            yield from self._first_repeats(list(range(first, len(self.configurations))))
        yield from self._rounds()

    def _first_repeats(self, members: list[int]) -> Iterator[Wanted]:
        """Ask for the first repeats of a generation, up to each epoch at which `stopping` decides, then to the end."""
        repeats = range(self.rules.repeats.first)
        for rung in [] if self.rules.stopping == "none" else rungs_of(self.epochs):
            yield from self._affordable_portions([(c, r) for r in repeats for c in members], rung)
            if self.spent_early:
                return
            members = self._stop([c for c in members if c not in self.ledger.out], rung)
        yield from self._affordable_portions([(c, r) for r in repeats for c in members], None)

    def _affordable_portions(self, keys: list[Key], pause_after: int | None) -> Iterator[Wanted]:
        """Ask for trainings as far as the budget pays for them. A budget of trials was found to pay for all of them, so
        all are asked for at once. A budget of time may be spent on the way, so only as many are asked for as run side
        by side, again and again."""
        timed = self.rules.budget.hours is not None or self.rules.budget.gpu_hours is not None
        size = max(1, int(self.side_by_side)) if timed else max(1, len(keys))
        for start in range(0, len(keys), size):
            if self._affordable() < 1:
                self.spent_early = True
                return
            wanted = [(c, r) for c, r in keys[start : start + size] if c not in self.ledger.out]
            self.now = "first repeats" + (f" up to epoch {pause_after}" if pause_after else "")
            yield dict.fromkeys(wanted, pause_after)
            self.ledger.note_failures([c for c, _ in wanted])

    def _stop(self, members: list[int], rung: int) -> list[int]:
        """Return which members go on beyond this epoch, by the rule `stopping` over the first repeats of all
        configurations that have ever reached the epoch, in earlier generations too. It is decided once all members have
        reached the epoch, so that it does not matter which came first."""
        among = STOPPING[self.rules.stopping](self.ledger.reaching(rung, self.rules.repeats.first), rung)
        kept = [c for c in members if c in among]
        self.ledger.out.update({c: "stopped" for c in members if c not in kept})
        return kept

    # --- rounds

    def _rounds(self) -> Iterator[Wanted]:
        """Ask for more repeats of fewer and fewer configurations, until two have had a round of their own, or the
        budget is spent."""
        running = self.ledger.racing()
        entered = len(running)
        number = raced = 0
        while len(running) > 1:
            self.ledger.out.update(dict.fromkeys(self._worse(running, entered), "dismissed"))
            running = [c for c in running if c not in self.ledger.out]
            if len(running) < 2 or raced == 2:  # two that have had a round of their own are the last two
                break
            running, more = self._next_round(running)
            if len(running) < 2 or more < 1:
                break
            number, raced = number + 1, len(running)
            self.ledger.rounds.update(dict.fromkeys(running, number))
            racing = count_of(len(running), "configuration")
            self.now = f"round {number}: {racing}, {count_of(more, 'more repeat')} each"
            yield from self._in_portions(self._more_repeats(running, more))
            self.ledger.note_failures(running)
            running = self.ledger.ranked([c for c in running if c not in self.ledger.out])

    def _in_portions(self, wanted: Wanted) -> Iterator[Wanted]:
        """Ask for as many repeats at once as a budget of trials pays for even if each trains to its last epoch, again
        and again: a training that ends early leaves room for more. The budget may pay for the last repeats only if they
        end as early as those before; they pause when it is spent. A repeat in which one has not ended then counts for
        no configuration, since all must have the same."""
        rows = [[key for key in wanted if key[1] == repeat] for repeat in sorted({r for _, r in wanted})]
        while sure := self._surely_affordable(rows):
            yield dict.fromkeys([key for row in rows[:sure] for key in row])
            rows = rows[sure:]
        for row in rows:
            if self._affordable([c for c, _ in row]) < len(row):
                return
            yield dict.fromkeys(row, self.ledger.epochs_left(self.rules.budget) // len(row))
            if not all(self.curves[key].ended for key in row):
                self.ledger.counted.update(row)
                return

    def _surely_affordable(self, rows: Sequence[Sequence[Key]]) -> int:
        """Return how many of the rows, each of one repeat of several configurations, the budget pays for in
        any case."""
        for number in range(len(rows), 0, -1):
            if self.ledger.surely_affords(self.rules.budget, [key for row in rows[:number] for key in row]):
                return number
        return 0

    def _worse(self, running: list[int], entered: int) -> list[int]:
        """Return the configurations that are worse than the leader, the first of `running`, by the paired test."""
        alpha = alpha_of_a_test(self.rules, entered, len(running) - 1)
        tests = self.ledger.tests(running)
        return [c for c in running[1:] if (p := tests[c].p) is not None and p < alpha]

    def _next_round(self, running: list[int]) -> tuple[list[int], int]:
        """Return the better half, as far as the budget pays for them, and how many more repeats each of them gets: the
        rounds to come share what is left of the budget."""
        running = running[: max(2, math.ceil(len(running) / 2))]
        while len(running) > 2 and not self.ledger.surely_affords(
            self.rules.budget, [(c, 0) for c in running]
        ):
            running = running[:-1]
        affordable = self._affordable(running)
        running = running[: max(1, min(len(running), affordable))]
        rounds = math.ceil(math.log2(len(running))) or 1
        most = self.rules.repeats.most - self.ledger.repeats(running[0])
        return running, min(max(1, affordable // (rounds * len(running))), most)

    def _more_repeats(self, running: list[int], more: int) -> Wanted:
        """Ask for so many repeats beyond the leader's, of each configuration from its own next one on."""
        last = self.ledger.repeats(running[0]) + more
        return {(c, r): None for r in range(last) for c in running if r >= self.ledger.repeats(c)}

    def _affordable(self, running: Sequence[int] = ()) -> int:
        return self.ledger.affordable(self.rules.budget, self.side_by_side, running)
