"""When a training writes its checkpoints, and in which thread."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from hnscc.study.run_folder import TrialFolder
from hnscc.training.checkpoint import save_checkpoint
from hnscc.training.fit import Fit

# A checkpoint is written after the last epoch, and after an epoch that ends at least this many seconds, by device,
# after the checkpoint before. On a processor that is every epoch. On a GPU an epoch takes a fraction of a second, and a
# checkpoint after each would take as long as the training; a trial that is killed there repeats the epochs of about
# these seconds.
SECONDS = {"cpu": 0.0, "cuda": 20.0}


class Saving:
    """The checkpoints of one training, in a `with` block.

    On a processor the training waits for each checkpoint. On a GPU its tensors are copied to memory, and a thread
    writes the copies one after another while the training goes on. If a checkpoint cannot be written, StorageError is
    raised when the next epoch ends. The GPU's part was never run on a GPU.
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
        """Wait for the thread: once the block has been left, by an error or not, nothing is written any more."""
        self._thread.shutdown(wait=True)

    def epoch_ended(self, *, last: bool) -> None:
        """Write the checkpoint where it is due. last: no epoch follows; the checkpoint is then on disk when this
        returns. StorageError where the disk is full or gone."""
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
        """Wait for the checkpoint that is being written, if there is one, and raise the error that it met."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
