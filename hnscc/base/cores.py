"""How many processor cores this process may use, which may be fewer than the machine has, and how many threads."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many cores this process may keep busy, 1 or more.

    That is the least of: the machine's cores, those of its affinity (taskset, a batch system), and the whole cores of
    processor time that its control groups allow (a container, a batch system). Where the system cannot say (macOS), it
    is all cores.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(_OWN_CGROUPS, _CGROUPS)
    return bound if quota is None else max(1, min(bound, int(quota)))


def threads() -> int:
    """Return how many threads this process may compute with: as many as OMP_NUM_THREADS says, else one for each of
    its cores.

    As in OpenMP, which PyTorch computes with, the first of several numbers counts, and anything but a number from 1 on
    is ignored. OpenMP itself warns of that.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else cores()


def cpu_quota(own: Path, mounted: Path) -> float | None:
    """Return the cores' worth of processor time that control groups allow, or None where none limits it.

    own: the file that names the process's groups (/proc/self/cgroup). mounted: where the groups' own files are
    (/sys/fs/cgroup), of version 1 or 2. A group is limited by the groups around it, too. In a container, the group's
    path may be the machine's path, of which only the last part, or nothing, exists.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(line, mounted)]
    return min(limits, default=None)


def _limits(line: str, mounted: Path) -> Iterator[float]:
    """Yield the limits of one line `number:controllers:path`, from its group up to the outermost one that exists."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if controllers and "cpu" not in controllers.split(","):
        return
    roots = [mounted / controllers, mounted / "cpu"] if controllers else [mounted, mounted / "unified"]
    inside = PurePosixPath(path.lstrip("/"))
    for root in roots:
        for group in (inside, *inside.parents):
            limit = _of_version_1(root / group) if controllers else _of_version_2(root / group)
            if limit is not None:
                yield limit


def _of_version_2(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    return _cores(quota, period)


def _of_version_1(group: Path) -> float | None:
    return _cores(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _cores(quota: str, period: str) -> float | None:
    """Return the cores' worth of a quota: its microseconds of processor time in each period, also in microseconds.
    `max` and -1 mean no limit: None."""
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None
    return int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
