"""Run a command; print its wall-clock time and the peak memory of it and all its descendants together.

    python benchmarks/measure.py make demo

Memory is the sum of proportional set sizes (PSS: a page shared by n processes counts 1/n for each), sampled twice a
second from /proc; it therefore runs on Linux only.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


def pss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def total_mib(pid: int) -> float:
    total = 0.0
    try:
        family = children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return total
    for each in family:
        try:
            total += pss_mib(each)
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process ended after it was listed
    return total


def main() -> int:
    began = time.monotonic()
    process = subprocess.Popen(sys.argv[1:])
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            peak[0] = max(peak[0], total_mib(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    print(
        f"wall clock {time.monotonic() - began:.0f} s, peak memory {peak[0] / 1024:.1f} GiB, exit code {code}"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
