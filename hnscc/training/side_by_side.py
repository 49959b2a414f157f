"""Several trials in one process, side by side: each goes on for an epoch when its turn comes.

A trial computes what it would compute alone, in the same order, on tensors of its own, and chooses by its own keys: its
bits are the same whoever is beside it, which tests show on a processor. There is nothing to gain there; on a GPU, one
trial's epoch is to be computed while another's is prepared, for which each needs a stream of its own first. That is not
built, and this was never run on a GPU.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from hnscc.training.loop import Epoch

Steps = Generator[Epoch | None]


def side_by_side(trials: Iterable[tuple[str, Steps]], count: int) -> Iterator[tuple[str, Epoch | None]]:
    """Yield the steps of all trials, each with its trial's id; `count` trials at a time take turns.

    trials: the id and `trial.steps_of_trial` of each. A trial is loaded when its first turn comes, and one that has
    ended, completed or failed, gives its place to the next. They must agree in what a process is told once: device,
    threads, precision. What ends one of them without being its fault (StorageError, a lost GPU) ends all: they go on
    from their checkpoints. The peak of GPU memory in a record is then that of all trials beside it, too.
    """
    waiting = iter(trials)
    running = deque(islice(waiting, count))
    try:
        while running:
            trial_id, steps = running[0]
            try:
                row = next(steps)
            except StopIteration:
                running.popleft()
                running.extend(islice(waiting, 1))
                continue
            yield trial_id, row
            running.rotate(-1)
    finally:
        for _, steps in running:
            steps.close()
