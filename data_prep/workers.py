"""One task for each of many scans, in several processes; what is wrong with scans is gathered, not raised at the first.

Processes that die, and memory that runs out, end the work with one error that says so.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TypeVar

from hnscc.base.environment import check_shared_memory
from hnscc.base.errors import InputError, WorkerError
from hnscc.base.steps import Progress

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def run_each(
    task: Callable[[Item], Answer],
    items: Sequence[Item],
    *,
    name: Callable[[Item], str],
    workers: int,
    progress: Progress,
) -> list[Answer | InputError]:
    """Run `task` on every item, and return in their order what it returned, or the InputError that it raised.

    With one worker the tasks run in this process, else `task` must be one that other processes can import. `progress`
    is told an item's `name` when it is done. WorkerError is raised where a process died or memory ran out, and
    whatever else a task raised is raised too; tasks that have not begun are then dropped.
    """
    try:
        if workers == 1:
            return _run_here(task, items, name, progress)
        with worker_pool(workers) as pool:
            futures = {pool.submit(task, item): name(item) for item in items}
            answers: dict[Future[Answer], Answer | InputError] = {}
            for future in as_completed(futures):
                answer = _answer(future)
                answers[future] = answer
                progress(len(answers), len(items), futures[future])
            return [answers[future] for future in futures]
    except BrokenProcessPool:
        raise _died(workers) from None
    except MemoryError:
        raise _no_memory(workers) from None


def _run_here(
    task: Callable[[Item], Answer], items: Sequence[Item], name: Callable[[Item], str], progress: Progress
) -> list[Answer | InputError]:
    answers: list[Answer | InputError] = []
    for item in items:
        try:
            answers.append(task(item))
        except InputError as error:
            answers.append(error)
        progress(len(answers), len(items), name(item))
    return answers


def _answer(future: Future[Answer]) -> Answer | InputError:
    try:
        return future.result()
    except InputError as error:
        return error


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of processes, and drop at the end what has not begun. MemoryError is raised where the system gives no
    further process, or no thread to watch over them; InputError where processes can share no memory."""
    check_shared_memory()
    # Spawned, not forked: the caller may hold threads. Ctrl-C is for the parent, which then cancels.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    _start(pool, others)
    try:
        yield pool
    except BrokenProcessPool:
        # The pool ends its processes when one dies, but waits for ever for one that was just being started.
        _end_all_but(others)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(pool: ProcessPoolExecutor, others: set[BaseProcess]) -> None:
    """Start a pool's processes and its thread, as the first task would. A pool that has processes alone waits for ever
    for them, and they for it. others: the processes that are not of the pool."""
    try:
        pool.submit(int)
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:  # of threads, the second is all that Python says
        _end_all_but(others)
        if "bootstrapping" in str(error):
            raise _called_again() from None
        raise MemoryError from None


def _end_all_but(others: set[BaseProcess]) -> None:
    for process in set(multiprocessing.active_children()) - others:
        process.terminate()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _called_again() -> InputError:
    """What a process says that runs a script once more, to find what it is to do, where the script calls for processes
    whenever it is run."""
    return InputError(
        "A process that is being started would start others.",
        where="the script that calls this",
        expected="the call below `if __name__ == '__main__':`",
        found="a call that each of its processes makes again",
        do="Put what the script does below that line.",
    )


def _died(workers: int) -> WorkerError:
    return WorkerError(
        "A process that was to work on scans died.",
        where="the processes of this command",
        expected="processes that end by themselves",
        found="one that was killed, most often by the system because memory ran out, or ended by an error of its own, "
        "which then stands above",
        do=f"Use fewer processes ({workers} now; --workers of `hnscc prepare`) or give more memory, then give the "
        "same command again; nothing half-written is left. In a script of your own, call this under "
        "`if __name__ == '__main__':`.",
    )


def _no_memory(workers: int) -> WorkerError:
    return WorkerError(
        "Memory ran out.",
        where="the processes of this command",
        expected="memory for one scan in each process",
        found=f"too little for {workers}",
        do="Use fewer processes (--workers of `hnscc prepare`) or give more memory, then give the same command "
        "again; nothing half-written is left.",
    )
