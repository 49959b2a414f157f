"""One study again and again, while what it runs on is killed: its tables must be those of an undisturbed run.

    python tests/cluster/chaos.py --seed 1 --kills 100 --writes 40 --hangs 5 --machines 20 --drivers 30 --clusters 5

Workers are killed at random moments (kills) and inside their writes (writes), or stop and never go on (hangs);
machines are lost and replaced; the driver is killed inside its writes and while trials are trained; the whole cluster
is killed and started again. All by kill -9, but for the hangs.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from chaos_lab import RUN_SECONDS, Lab, lab, tables
from machines import is_stopped

from hnscc.study.trials import trials_of

# A driver whose cluster is gone must end by itself within that time.
ALONE_SECONDS = 180
# 1 in so many is a worker's chance of death at each moment of a write: a death or two in each trial's life.
CHANCES = {r"checkpoint/.*\.safetensors": 4000, r"checkpoint/": 300, "": 100}


Action = Callable[[Lab, random.Random], bool]


def undisturbed(lab: Lab, times: int) -> list[list[str]]:
    """Run the study: each time the same tables. Gives the moments of the driver's writes, [moment, path] in order."""
    note = lab.folder / "moments"
    for _ in range(times):
        note.unlink(missing_ok=True)
        out = lab.fresh()
        lab.finish(out, lab.start(out, below=str(out), note=str(note)))
        lab.expected = lab.expected or tables(out)
        lab.check(out)
    return [line.split(" ", 1) for line in note.read_text().splitlines()]


def disturb(lab: Lab, actions: list[Action], pause: float, rng: random.Random) -> Counter[str]:
    """Do one after the other at random moments of a study, and of another where it ends before them."""
    figures: Counter[str] = Counter()
    left = actions[::-1]
    while left:
        out = lab.fresh()
        process = lab.start(out)
        while process.poll() is None:
            time.sleep(rng.uniform(0.05, pause))
            if left and left[-1](lab, rng):
                figures[left.pop().__name__] += 1
        lab.finish(out, process)
        found = Counter({"found hanging": lab.output(out).read_text().count("no epoch ended within")})
        figures += lab.check(out) + found + Counter(runs=1)
    return figures


def kill_worker(lab: Lab, rng: random.Random) -> bool:
    return _send(signal.SIGKILL, lab, rng)


def hang_worker(lab: Lab, rng: random.Random) -> bool:
    return _send(signal.SIGSTOP, lab, rng)


def _send(number: signal.Signals, lab: Lab, rng: random.Random) -> bool:
    """To a trial worker chosen at random, but for stopped ones. One that has not finished an epoch is mostly spared,
    since a trial whose process keeps dying before that is given up, and rightly so."""
    trained = {int(pid) for _, pid, *_ in lab.logged("epoch")}
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        going = [pid for pid in lab.cluster.trial_workers() if not is_stopped(pid)]
        if victims := [pid for pid in going if pid in trained or rng.random() < 0.1]:
            os.kill(rng.choice(victims), number)
            return True
    return False


def lose_machine(lab: Lab, rng: random.Random) -> bool:
    """Kill a machine's raylet while trials are trained, and let another machine join."""
    if not lab.cluster.trial_workers() or not lab.cluster.lose(rng):
        return False
    lab.cluster.add()
    return True


def kill_in_writes(lab: Lab, number: int, seed: int) -> Counter[str]:
    """Workers die inside the writes of their checkpoints, results and records."""
    figures: Counter[str] = Counter()
    while figures["kills"] < number:
        out = lab.fresh()
        lab.set_faults(below=str(out), kill_one_in=CHANCES, seed=f"{seed} {lab.runs}")
        process = lab.start(out)
        while process.poll() is None:
            time.sleep(0.5)
            if figures["kills"] + len(lab.logged("kill")) >= number:
                lab.set_faults()
        lab.finish(out, process)
        kills = Counter(f"in {Path(path).name}, {moment}" for _, moment, path in lab.logged("kill"))
        figures += lab.check(out) + Counter(runs=1, kills=kills.total()) + kills
    return figures


def kill_drivers(lab: Lab, number: int, moments: list[list[str]], rng: random.Random) -> Counter[str]:
    """The driver is killed in a moment of each kind of its writes, in others chosen at random, and every fourth time
    while trials are trained; each time the same command is given again at once."""
    in_training = number // 4
    chosen = choose_moments(moments, number - in_training, rng)
    first_table = next(i for i, (_, path) in enumerate(moments) if path.startswith("tables/"))
    figures: Counter[str] = Counter()
    out = lab.fresh()
    for position in [each for each in chosen if each < first_table]:
        figures[kill_driver_at(lab, out, moments[position])] += 1
    trials = len(trials_of(lab.study))
    for completed in sorted(rng.randrange(trials) for _ in range(in_training)):
        process = lab.start(out)
        lab.await_training(out, completed, rng)
        process.kill()
        process.wait()
        figures["while training"] += 1
    for position in [each for each in chosen if each >= first_table]:
        figures[kill_driver_at(lab, out, moments[position])] += 1
    figures["kills"] = figures.total()
    lab.finish(out, lab.start(out))
    return figures + lab.check(out)


def choose_moments(moments: list[list[str]], number: int, rng: random.Random) -> list[int]:
    """Indices of moments in ascending order: one before the end of the write of each kind of file, or of `number`
    kinds; the others anywhere. Every table is a kind of its own; of figures, of folds' files and of proofs that
    folder and kind of file are."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for i, (moment, path) in enumerate(moments):
        if moment in ("opened", "half", "whole", "flushed"):
            kinds[re.sub(r"[^/.]+(?=\.(png|svg)$)", "*", path)].append(i)
    chosen = [rng.choice(each) for each in kinds.values()]
    others = sorted(set(range(len(moments))) - set(chosen))
    more = rng.sample(others, max(0, number - len(chosen)))
    return sorted(rng.sample(chosen, min(number, len(chosen))) + more)


def kill_driver_at(lab: Lab, out: Path, moment: list[str]) -> str:
    process = lab.start(out, below=str(out), kill_at=moment)
    code = process.wait(timeout=RUN_SECONDS)
    assert code == -signal.SIGKILL, f"{moment}: exit code {code}: {lab.output(out).read_text()}"
    return f"in {moment[1]}, {moment[0]}"


def kill_clusters(lab: Lab, number: int, rng: random.Random) -> Counter[str]:
    """Every process of the cluster is killed, the driver among them or, every other time, left to end by itself;
    then all is started again."""
    figures: Counter[str] = Counter()
    out = lab.fresh()
    trials = len(trials_of(lab.study))
    for i, completed in enumerate(sorted(rng.randrange(trials * 3 // 4) for _ in range(number))):
        process = lab.start(out)
        lab.await_training(out, completed, rng)
        if i % 2 == 0:
            process.kill()
        lab.cluster.kill()
        began = time.monotonic()
        process.wait(timeout=ALONE_SECONDS)
        alone = round(time.monotonic() - began)
        figures["seconds until a driver without its cluster had ended"] += alone
        figures[f"drivers that ended with {process.returncode}"] += 1
        lab.cluster.start()
    lab.finish(out, lab.start(out))
    return figures + lab.check(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    defaults = {"seed": 1, "repeats": 20, "epochs": 30}
    defaults |= {"kills": 100, "writes": 40, "hangs": 5, "machines": 20, "drivers": 30, "clusters": 5}
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with lab(options.repeats, options.epochs) as made:
        print(f"{2 * options.repeats} trials of {options.epochs} epochs, seed {options.seed}", flush=True)
        moments: list[list[str]] = []
        acts: dict[str, Callable[[], Counter[str] | None]] = {
            "undisturbed, twice": lambda: moments.extend(undisturbed(made, 2)),
            "kills": lambda: disturb(made, [kill_worker] * options.kills, 1.5, rng),
            "writes": lambda: kill_in_writes(made, options.writes, options.seed),
            "hangs": lambda: disturb(made, [hang_worker] * options.hangs, 4, rng),
            "machines": lambda: disturb(made, [lose_machine] * options.machines, 4, rng),
            "drivers": lambda: kill_drivers(made, options.drivers, moments, rng),
            "clusters": lambda: kill_clusters(made, options.clusters, rng),
        }
        for name, act in acts.items():
            if not getattr(options, name, True):
                continue
            began = time.monotonic()
            figures = act() or Counter()
            print(f"{name}: the same tables, nothing lost; {time.monotonic() - began:.0f} s", flush=True)
            for what, count in figures.items():
                print(f"    {count:5d}  {what}", flush=True)


if __name__ == "__main__":
    main()
