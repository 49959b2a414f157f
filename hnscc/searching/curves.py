"""What a search asks for and what it is told: trainings by configuration and repeat, and how their scores rose."""

from dataclasses import dataclass, replace

Key = tuple[int, int]  # configuration, repeat; both from 0
Wanted = dict[Key, int | None]  # after which epoch the training is to pause; None: it goes on to its end


@dataclass(frozen=True)
class Curve:
    """What a training has shown.

    `scores` are the validation scores (soft Jaccard, 0..1) after each epoch, `took` the seconds of each epoch, `gpus`
    the share of a GPU that it had. `ended`: it trains no further, by its own patience or its last epoch. `failed`: it
    ended in an error, after these epochs.
    """

    scores: tuple[float, ...]
    ended: bool
    failed: bool = False
    took: tuple[float, ...] = ()
    gpus: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it has trained."""
        return sum(self.took)

    def paused(self, pause_after: int | None) -> "Curve":
        """The curve as it was when it paused after that epoch: whoever asks again later must hear the same, also of
        one that has failed since."""
        if pause_after is None or len(self.scores) < pause_after:
            return self
        if len(self.scores) == pause_after and not self.failed:
            return self
        scores, took = self.scores[:pause_after], self.took[:pause_after]
        return replace(self, scores=scores, took=took, ended=False, failed=False)

    def best(self, epochs: int | None = None) -> float:
        """The best score of the first `epochs`, or of all; 0, the least there is, before any."""
        return max(self.scores[:epochs], default=0.0)


@dataclass(frozen=True)
class Batch:
    """Trainings that were wanted at once: the epochs that each took then, and the leader's score after them."""

    epochs: dict[Key, int]
    leader_score: float | None
