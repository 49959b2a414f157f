"""When a training's checkpoints are written, and by whom."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from hnscc.study.run_folder import TrialFolder
from hnscc.training.checkpoint import save_checkpoint
from hnscc.training.fit import Fit

# The rule: a checkpoint is written where an epoch ends so many seconds after the last one was, by device, and after the
# last epoch. On a processor that is after every epoch. On a GPU, whose epochs take a fraction of a second, a write in
# each would cost as much as the training; killed there, a trial computes the epochs of these seconds again.
SECONDS = {"cpu": 0.0, "cuda": 20.0}


class Saving:
    """The checkpoints of one training, in a `with` block.

    On a processor the training waits for each. On a GPU its tensors are copied to memory, and a thread of its own
    writes the copy, one after another: the training goes on meanwhile. What hinders the writing (StorageError) is
    raised where the next epoch ends. That was never run on a GPU.
    """

    def __init__(self, fit: Fit, folder: TrialFolder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fit, self._folder, self._clock = fit, folder, clock
        self._seconds = SECONDS[fit.began.device]
        self._last = clock()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Saving":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is written any more once the block has been left, however that was."""
        self._thread.shutdown(wait=True)

    def epoch_ended(self, *, last: bool) -> None:
        """Write the checkpoint where it is due. last: no epoch follows; it is then there on return. StorageError
        where the disk is full or gone."""
        if self._writing is not None and self._writing.done():
            self._written()
        if not last and self._clock() - self._last < self._seconds:
            return
        self._written()
        so_far, tensors = self._fit.checkpoint()
        slot = self._folder.slot(self._fit.next_slot)
        if self._seconds:
            copied = {name: value.to("cpu", copy=True) for name, value in tensors.items()}
            self._writing = self._thread.submit(save_checkpoint, slot, so_far, copied)
            if last:
                self._written()
        else:
            save_checkpoint(slot, so_far, tensors)
        self._fit.next_slot = 1 - slot.number
        self._last = self._clock()

    def _written(self) -> None:
        """Wait for the write under way, if there is one, and raise what it met."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
