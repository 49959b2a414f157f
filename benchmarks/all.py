"""Run the benchmarks and write docs/benchmarks.md: what each found, its target, when and on which machine.

    python benchmarks/all.py                    all of them, hours
    python benchmarks/all.py roofline memory    only these; the rows of the others stay, with their date and machine

What was found is kept beside the page as docs/benchmarks.json, written after each benchmark. A benchmark reports its
figures by `figures.tell`. It failed if its exit code is not 0; lines of its output that begin with `skipped:` say what
it left out. The exit code is 1 if any failed.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from figures import COLLECT, Figure, machine, unlimited

ROOT = Path(__file__).parent.parent
PAGE, FOUND = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.json"
# Every benchmark with its arguments, in the order of the page.
BENCHMARKS = {
    "training": [],
    "against_keras": [],
    "roofline": [],
    "subpixel": [],
    "input_share": [],
    "prepare": [],
    "dicom": [],
    "predict": [],
    "aggregation": [],
    "whole_scans": [],
    "memory": [],
    "startup": [],
    "scale": [],
    "overhead": ["studies/demo.yaml"],
    "equivalence": [],
    "gpu": [],
}
# Why a target is missed, by words of its figure; the page says so only where it is missed.
WHY = {
    "roofline: the paper's network": "the rest is dropout's random numbers, pooling, concatenation and the optimiser: "
    "no convolutions",
    "aggregation against pandas": "resampling the patients 2,000 times and writing Parquet are the same for both",
    "memory of a process after 6 trials": "no trial keeps anything (in use on the heap); from the first one on there "
    "are the kernels that it compiled, and holes between small things that stay, into which the arrays of a step no "
    "longer fit; glibc cannot move them",
    "prepare, ": "the plain loop looks for nothing that is odd; most of our time goes into that",
    "from the last step to the end": "about 2 s are scores of the median models' whole scans (after one epoch they "
    "mark much), 2.5 s figures, each as PNG and as SVG, by a library that one thread alone may use",
    "a study of trials that do nothing, default Tune": "our seconds hold the start of two workers and the end of Ray, "
    "which 200 trials that do nothing hardly outweigh",
}
NO_GPU = "not measured: no GPU"
# Benchmarks that are run only by hand, since they need their own data or much time, and the page on each.
BY_HAND = {
    "search_peers": "searches against others: [search](explanation/search.md#does-it-find-better-configurations)",
    "means_and_medians": "other intervals: [statistics](explanation/statistics.md#intervals-all-are-95-)",
    "limits": "which limits: [statistics](explanation/statistics.md#intervals-all-are-95-)",
    "unlike": "repeats unlike in number or spread: [statistics](explanation/statistics.md#intervals-all-are-95-)",
    "registration": "a known motion, undone, on scans of your own: [the manifest](how-to/manifest.md)",
    "sent_back": "what placing masks on slices loses, of your own: [new patients](how-to/new-patients.md)",
}
# What needs a GPU: the target, the benchmark, and words of its figure, until whose measurement the row stands.
# The targets were set by estimates: a training alone keeps a GPU busy for a quarter of a step, and the bytes that both
# networks move bound what trainings beside it can gain.
ON_GPU = {
    "weights, predictions and scores of trainings beside others on a GPU against alone": (
        "equal bits",
        "gpu",
        "share of trainings beside others",
    ),
    "one training on a GPU against eager PyTorch with a DataLoader": (
        "at least 5 x",
        "gpu",
        "one training against eager PyTorch",
    ),
    "several trainings at once on a GPU against one after another, resnet18 Unet": (
        "at least 2.5 x",
        "gpu",
        "several at once",
    ),
    "the paper's study (4 x 50 trainings) on one H100": ("at most 15 minutes", "gpu", "the paper's study"),
    "Dice of trainings on a GPU against on a processor, on the real cohort: p of TOST, margin 0.02": (
        "at most 0.05",
        "equivalence",
        "with and without a GPU",
    ),
}


@dataclass(frozen=True)
class Run:
    """What one benchmark found, when and where. notes: sentences on what failed or was skipped, or (written by hand,
    until it is run again) that the code has changed since."""

    date: str
    machine: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False


def run(name: str) -> Run:
    """Run one benchmark, and show its output as it comes."""
    script = Path(__file__).parent / f"{name}.py"
    with tempfile.TemporaryDirectory() as folder:
        collected = Path(folder) / "figures"
        command = [sys.executable, str(script), *BENCHMARKS[name]]
        code, notes = watch(command, unlimited() | {COLLECT: str(collected)})
        lines = collected.read_text().splitlines() if collected.exists() else []
    if code:
        notes.append(f"failed: exit code {code}")
    elif not lines and not notes:
        notes.append("failed: it told no figure")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    failed = bool(code) or any(note.startswith("failed:") for note in notes)
    return Run(today, machine(), [figure_of(json.loads(line)) for line in lines], notes, failed)


def watch(command: list[str], environment: dict[str, str]) -> tuple[int, list[str]]:
    """Run a command and pass on what it prints. Return its exit code, and the lines that say what it skipped."""
    skipped = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or []:
            print(line, end="", flush=True)
            if line.startswith("skipped:"):
                skipped.append(line.strip())
    return process.returncode, skipped


def figure_of(raw: dict[str, Any]) -> Figure:
    return Figure(**raw | {"values": tuple(raw["values"])})


def load() -> dict[str, Run]:
    """Return what earlier runs found, by benchmark; nothing where there is no page yet."""
    if not FOUND.exists():
        return {}
    found = json.loads(FOUND.read_text())
    return {
        name: Run(**raw | {"figures": [figure_of(each) for each in raw["figures"]]})
        for name, raw in found.items()
    }


def save(found: dict[str, Run]) -> None:
    ordered = {name: found[name] for name in BENCHMARKS if name in found}
    FOUND.parent.mkdir(exist_ok=True)
    FOUND.write_text(json.dumps({name: asdict(each) for name, each in ordered.items()}, indent=1) + "\n")
    PAGE.write_text("\n".join(page(ordered)) + "\n")


def page(found: dict[str, Run]) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench` (benchmarks/all.py). Each figure has a value per round, both sides in turn in the"
    yield "same run; the median is set against the target."
    yield ""
    for date, where in sorted({(each.date, each.machine) for each in found.values()}):
        names = ", ".join(name for name, each in found.items() if (each.date, each.machine) == (date, where))
        yield f"- {date}, {where}: {names}"
    for name, each in found.items():
        if each.figures and not each.failed:  # otherwise its row says so
            yield from (f"- {name}: {note}" for note in each.notes)
    yield ""
    yield "| what | target | median (range), n | reached? |"
    yield "|---|---|---|---|"
    for name, each in found.items():
        yield from map(row, each.figures)
        if each.failed or (not each.figures and name != "gpu"):
            yield f"| benchmarks/{name}.py | | {cell('; '.join(each.notes))} | no |"
    for name in BENCHMARKS:
        if name not in found and name != "gpu":  # its rows are those of ON_GPU
            yield f"| benchmarks/{name}.py | | not run yet | |"
    for name, where in BY_HAND.items():
        yield f"| benchmarks/{name}.py | | by hand, {where} | |"
    for what, (target, name, words) in ON_GPU.items():
        if name not in found or not any(words in figure.what for figure in found[name].figures):
            yield f"| {what} | {target} | {NO_GPU} (benchmarks/{name}.py) | |"
    for name, each in found.items():
        yield from details(name, each)


def row(figure: Figure) -> str:
    target = f"{'at most' if figure.at_most else 'at least'} {figure.target:g} {figure.unit}"
    spread = f"{min(figure.values):.3g} to {max(figure.values):.3g}"
    values = f"{figure.median:.3g} ({spread}), n = {len(figure.values)}"
    return f"| {cell(figure.what)} | {cell(target)} | {values} | {'yes' if figure.reached else '**no**'} |"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def details(name: str, found: Run) -> Iterator[str]:
    yield ""
    yield f"## {name}"
    yield ""
    arguments = " ".join(["python", f"benchmarks/{name}.py", *BENCHMARKS[name]])
    yield f"`{arguments}`, {found.date}, {found.machine}"
    yield ""
    for figure in found.figures:
        yield f"- {figure.what}: {figure.detail}"
        for words, why in WHY.items():
            if words in figure.what and not figure.reached:
                yield f"  - missed: {why}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all unless given"
    )
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    found = load()
    for name in names:
        print(f"--- {name}", flush=True)
        found[name] = run(name)
        save(found)
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return int(any(found[name].failed for name in names))


if __name__ == "__main__":
    sys.exit(main())
