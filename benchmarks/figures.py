"""How every benchmark measures and reports: two sides in turn, a ratio per round, its median and range.

A benchmark is a script that calls `tell` for each of its figures. `make bench` runs them all (benchmarks/all.py) and
writes docs/benchmarks.md.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROUNDS = 3
# The variable with the file in which `make bench` collects the figures, a JSON object per line.
COLLECT = "HNSCC_FIGURES"
# Variables by which a shell limits the threads of what it starts.
LIMITS_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Figure:
    """One line of the table of benchmarks.

    target: a ratio of our speed to another's has to reach it, a share or an amount has to stay below it (`at_most`).
    values: one per round. detail: what was run, in words, with the absolute numbers.
    """

    what: str
    target: float
    values: tuple[float, ...]
    unit: str
    detail: str
    at_most: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        return self.median <= self.target if self.at_most else self.median >= self.target

    def line(self) -> str:
        spread = f"{min(self.values):.3g} to {max(self.values):.3g}, n = {len(self.values)}"
        aim = f"{'at most' if self.at_most else 'at least'} {self.target:g}"
        verdict = "reached" if self.reached else "MISSED"
        return f"{self.what}: {self.median:.3g} {self.unit} ({spread}); {aim}: {verdict}; {self.detail}"


def tell(figure: Figure) -> None:
    """Print a figure, and add it to what `make bench` collects."""
    print(figure.line(), flush=True)
    if path := os.environ.get(COLLECT):
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(figure)) + "\n")


def unlimited() -> dict[str, str]:
    """Return this process's environment without limits of threads, so that each side takes as many as it takes by
    itself. A limit of one thread once made a naive loop half as fast, and us twice as fast as we are."""
    return {name: value for name, value in os.environ.items() if name not in LIMITS_OF_THREADS}


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Return a type for argparse that takes these names alone. `choices` would refuse an empty list of arguments."""
    known = list(names)

    def check(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, found {text!r}")
        return text

    return check


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def in_turn(*sides: Callable[[], float], rounds: int = ROUNDS) -> list[tuple[float, ...]]:
    """Return a tuple for each side: what it measured, round by round. The side that begins changes from round
    to round."""
    measured: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides))
        for i in order if number % 2 == 0 else reversed(order):
            measured[i].append(sides[i]())
    return [tuple(each) for each in measured]


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, ...]:
    """Return, for each round, how many times as long as us they took."""
    return tuple(a / b for a, b in zip(theirs, ours, strict=True))


def machine() -> str:
    """Return the processor and the number of its cores, the versions that matter, and this repository's commit."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if _has(flag)]
    versions = ", ".join(map(_version, ("torch", "ray", "numpy")))
    name = cpu.group(1) if cpu else platform.processor()
    processor = f"{os.cpu_count()} cores of {name} ({', '.join(flags)})"
    return f"{processor}, Python {platform.python_version()}, {versions}, {_commit()}"


def _version(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name}"


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True)
    return f"commit {found.stdout.strip()}" if found.returncode == 0 else "no commit"


def _has(flag: str) -> bool:
    return re.search(rf"\b{flag}\b", Path("/proc/cpuinfo").read_text()) is not None
