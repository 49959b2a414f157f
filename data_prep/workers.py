"""Runs one task for each of many scans, in several processes, and gathers what is wrong with scans.

An error of one scan does not stop the others. A process that dies, or memory that runs out, ends the work with one
error that says so.
"""

import multiprocessing
import os
import signal
import threading
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
    """Run `task` on every item, and return, in the order of the items, what it returned or the InputError that
    it raised.

    With one worker the tasks run in this process; with more, other processes must be able to import `task`. `progress`
    is called with an item's `name` when the item is done. WorkerError is raised where a process died or memory ran out.
    Any other error of a task is raised as it is. Tasks that have not begun are then dropped.
    """
    try:
        if workers == 1:
            return _run_here(task, items, name, progress)
        with worker_pool(workers) as pool:
            futures = {pool.submit(task, item): name(item) for item in items}
            answers: dict[Future[Answer], Answer | InputError] = {}
            for future in as_completed(futures):
                try:
                    answers[future] = future.result()
                except InputError as error:
                    answers[future] = error
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


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, and drop the tasks that have not begun when it is left.

    MemoryError is raised where the system gives no further process, or no thread to watch over the processes;
    InputError where processes can share no memory.
    """
    check_shared_memory()
    # Processes are spawned, not forked, since the caller may hold threads. Ctrl-C and the end of a terminal concern the
    # parent alone, which then cancels.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    _start(pool, others)
    try:
        yield pool
    except BrokenProcessPool:
        # A pool ends its processes when one of them dies, but would wait forever for one that was just being started.
        _end_all_but(others)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(pool: ProcessPoolExecutor, others: set[BaseProcess]) -> None:
    """Start the processes of a pool and the thread that watches over them, as the first task would.

    A pool whose processes have started, but whose thread has not, would wait for them forever, and they for it. others:
    the processes that do not belong to the pool.
    """
    try:
        pool.submit(int)
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError is all that Python raises for threads
        _end_all_but(others)
        if "bootstrapping" in str(error):
            raise _called_again() from None
        raise MemoryError from None


def _end_all_but(others: set[BaseProcess]) -> None:
    for process in set(multiprocessing.active_children()) - others:
        process.terminate()


def _begin() -> None:
    """Leave interrupts to the parent, and watch for its end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent does: one that is killed ends none, and they would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _called_again() -> InputError:
    """Return the error for a script that starts processes whenever it is run.

    Each process runs the script once more to find its task, and would start processes again.
    """
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
