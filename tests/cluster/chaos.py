"""One study again and again, while what it runs on is killed: its tables must be those of an undisturbed run.

    python tests/cluster/chaos.py --seed 1 --kills 100 --writes 40 --hangs 5 --machines 20 --drivers 30 --clusters 5

Workers are killed at random moments (kills) and inside their writes (writes), or stop and never go on (hangs);
machines are lost and replaced; the driver is killed inside its writes and while trials are trained; the whole cluster
is killed and started again. All by kill -9, but for the hangs.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).parent / "faults"
sys.path[:0] = [str(ROOT / "tests/helpers"), str(Path(__file__).parent)]


from machines import Cluster, cluster, is_stopped, wait_until, without_ray  # noqa: E402
from stores import make_store, study_of  # noqa: E402

from hnscc.aggregation.schemas import STUDY_TABLES  # noqa: E402
from hnscc.base.encode import parquet_bytes  # noqa: E402
from hnscc.study.plan import plan_trials  # noqa: E402
from hnscc.study.run_folder import RunFolder  # noqa: E402
from hnscc.study.schema import Study  # noqa: E402
from hnscc.training.records import read_record  # noqa: E402
from hnscc.training.states import trial_state  # noqa: E402

# For one invocation of the command, on a machine that others use too.
RUN_SECONDS = 1800
# A worker that nothing happens to needs less to start and to finish an epoch, however loaded the machine.
HUNG_AFTER = 20
# A driver whose cluster is gone must end by itself within that time.
ALONE_SECONDS = 180
# 1 in so many is a worker's chance of death at each moment of a write: a death or two in each trial's life.
CHANCES = {r"checkpoint/.*\.safetensors": 4000, r"checkpoint/": 300, "": 100}


@dataclass
class Lab:
    """A study of short trials, the cluster that it runs on, and what the faults note.

    expected: the undisturbed run's tables, once there was one.
    """

    folder: Path
    study: Study
    cluster: Cluster
    expected: dict[str, bytes] = field(default_factory=dict)
    runs: int = 0

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def fresh(self) -> Path:
        """A new run folder's path; what is logged from now on is about its trials."""
        self.runs += 1
        self.log.write_text("")
        self.set_faults()
        return self.folder / f"run{self.runs}"

    def set_faults(self, **faults: Any) -> None:
        """For processes that begin to train from now on; see faults/sitecustomize.py."""
        (self.folder / "faults.json").write_text(json.dumps({"log": str(self.log), **faults}))

    def output(self, out: Path) -> Path:
        """What the commands on this run folder printed."""
        return self.folder / f"{out.parent.name}-{out.name}.txt"

    def start(self, out: Path, study: Study | None = None, **faults: Any) -> subprocess.Popen[bytes]:
        """Begin `python -m rayjobs.study` into the run folder `out`, with faults of its own."""
        file, own = self.folder / f"{out.name}.yaml", self.folder / f"{out.name}.faults.json"
        file.write_text(yaml.safe_dump((study or self.study).model_dump(mode="json"), sort_keys=False))
        own.write_text(json.dumps({"log": str(self.log), **faults}))
        with self.output(out).open("ab") as said:
            return subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig=KILL"),  # a test that is killed takes its driver with it
                    sys.executable,
                    "-m",
                    "rayjobs.study",
                    file,
                    "--out",
                    out,
                    "--address",
                    self.cluster.address,
                ],
                env=without_ray(os.environ) | self.cluster.environment | {"FAULTS": str(own)},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def finish(self, out: Path, process: subprocess.Popen[bytes]) -> None:
        code = process.wait(timeout=RUN_SECONDS)
        assert code == 0, f"exit code {code}: {self.output(out).read_text()}"

    def logged(self, kind: str) -> list[list[str]]:
        lines = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [line[1:] for line in lines if line[0] == kind]

    def await_training(self, out: Path, completed: int, draw: random.Random) -> None:
        """Until so many trials are completed and others are being trained; and up to two seconds more."""
        records = (out / "trials").glob
        wait_until(
            lambda: self.cluster.trial_workers() and len(list(records("*/record.json"))) >= completed,
            RUN_SECONDS,
            f"{completed} trials completed",
        )
        time.sleep(draw.uniform(0, 2))

    def check(self, out: Path) -> Counter[str]:
        """AssertionError unless the run folder is as if nothing had happened; else what had happened to its trials."""
        assert tables(out) == self.expected
        folder = RunFolder(out)
        planned = plan_trials(self.study)
        states = Counter(trial_state(folder.trial(trial.trial_id)).status for trial in planned)
        assert states == {"completed": len(planned)}
        assert sorted(each.name for each in (out / "trials").iterdir()) == sorted(t.trial_id for t in planned)
        left = [path for path in out.rglob("*") if path.name.endswith(".tmp") or path.name == "checkpoint"]
        left += list(out.glob(".shared/*"))
        assert not left, left
        return self._happened(folder)

    def _happened(self, folder: RunFolder) -> Counter[str]:
        """Interruptions, and epochs computed again: never more than one after an interruption."""
        finished: dict[str, int] = defaultdict(int)
        happened: Counter[str] = Counter()
        starts: Counter[str] = Counter()
        for kind, trial, _, epoch, *_ in map(str.split, self.log.read_text().splitlines()):
            if kind == "start":
                starts[trial] += 1
                again = finished[trial] + 1 - int(epoch)
                assert again in (0, 1), (trial, epoch, finished[trial])
                happened["epochs computed again"] += again
            elif kind == "epoch":
                finished[trial] = max(finished[trial], int(epoch))
        for planned in plan_trials(self.study):
            record = read_record(folder.trial(planned.trial_id))
            assert record, planned
            happened["trials interrupted"] += starts[planned.trial_id] > 1
            happened["interruptions"] += starts[planned.trial_id] - 1
            happened["attempts in records"] += len(record.attempts)
        return happened


Action = Callable[[Lab, random.Random], bool]


@contextlib.contextmanager
def lab(repeats: int, epochs: int, gpus: float = 0) -> Iterator[Lab]:
    """A study of 2 x `repeats` trials, and a head with two workers for it, which declare so many GPUs each."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        store = make_store(folder)
        study = study_of(
            store.location,
            repeats=repeats,
            training={"epochs": epochs, "patience": epochs},
            evaluation={"bootstraps": 200},
            resources={"cpus": 1, "gpus": 0, "hung_after": HUNG_AFTER},
        )
        faults = {"PYTHONPATH": str(FAULTS), "FAULTS": str(folder / "faults.json")}
        with cluster(workers=2, gpus=gpus, environment=faults) as machines:
            made = Lab(folder, study, machines)
            made.set_faults()
            yield made


def tables(out: Path) -> dict[str, bytes]:
    """Every table as bytes: the file's own, or where it has a column of wall-clock time, written again without it."""
    contents = {}
    for name in STUDY_TABLES:
        path = RunFolder(out).table(name)
        timed = "seconds" in pq.read_schema(path).names
        contents[name] = (
            parquet_bytes(pq.read_table(path).drop_columns("seconds")) if timed else path.read_bytes()
        )
    return contents


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


def disturb(lab: Lab, actions: list[Action], pause: float, draw: random.Random) -> Counter[str]:
    """Do one after the other at random moments of a study, and of another where it ends before them."""
    figures: Counter[str] = Counter()
    left = actions[::-1]
    while left:
        out = lab.fresh()
        process = lab.start(out)
        while process.poll() is None:
            time.sleep(draw.uniform(0.05, pause))
            if left and left[-1](lab, draw):
                figures[left.pop().__name__] += 1
        lab.finish(out, process)
        found = Counter({"found hanging": lab.output(out).read_text().count("no epoch finished within")})
        figures += lab.check(out) + found + Counter(runs=1)
    return figures


def kill_worker(lab: Lab, draw: random.Random) -> bool:
    return _send(signal.SIGKILL, lab, draw)


def hang_worker(lab: Lab, draw: random.Random) -> bool:
    return _send(signal.SIGSTOP, lab, draw)


def _send(number: signal.Signals, lab: Lab, draw: random.Random) -> bool:
    """To a trial worker drawn at random, but for stopped ones. One that has not finished an epoch is mostly spared,
    since a trial whose process keeps dying before that is given up, and rightly so."""
    trained = {int(pid) for _, pid, *_ in lab.logged("epoch")}
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        going = [pid for pid in lab.cluster.trial_workers() if not is_stopped(pid)]
        if victims := [pid for pid in going if pid in trained or draw.random() < 0.1]:
            os.kill(draw.choice(victims), number)
            return True
    return False


def lose_machine(lab: Lab, draw: random.Random) -> bool:
    """Kill a machine's raylet while trials are trained, and let another machine join."""
    if not lab.cluster.trial_workers() or not lab.cluster.lose(draw):
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


def kill_drivers(lab: Lab, number: int, moments: list[list[str]], draw: random.Random) -> Counter[str]:
    """The driver is killed in a moment of each kind of its writes, in others drawn at random, and every fourth time
    while trials are trained; each time the same command is given again at once."""
    in_training = number // 4
    chosen = choose_moments(moments, number - in_training, draw)
    first_table = next(i for i, (_, path) in enumerate(moments) if path.startswith("tables/"))
    figures: Counter[str] = Counter()
    out = lab.fresh()
    for position in [each for each in chosen if each < first_table]:
        figures[kill_driver_at(lab, out, moments[position])] += 1
    trials = len(plan_trials(lab.study))
    for completed in sorted(draw.randrange(trials) for _ in range(in_training)):
        process = lab.start(out)
        lab.await_training(out, completed, draw)
        process.kill()
        process.wait()
        figures["while training"] += 1
    for position in [each for each in chosen if each >= first_table]:
        figures[kill_driver_at(lab, out, moments[position])] += 1
    figures["kills"] = figures.total()
    lab.finish(out, lab.start(out))
    return figures + lab.check(out)


def choose_moments(moments: list[list[str]], number: int, draw: random.Random) -> list[int]:
    """Indices of moments in ascending order: one before the end of the write of each kind of file, or of `number`
    kinds; the others anywhere. Every table is a kind of its own; of figures, of folds' files and of proofs that
    folder and kind of file are."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for i, (moment, path) in enumerate(moments):
        if moment in ("opened", "half", "whole", "flushed"):
            kinds[re.sub(r"[^/.]+(?=\.(png|svg)$)", "*", path)].append(i)
    chosen = [draw.choice(each) for each in kinds.values()]
    others = sorted(set(range(len(moments))) - set(chosen))
    more = draw.sample(others, max(0, number - len(chosen)))
    return sorted(draw.sample(chosen, min(number, len(chosen))) + more)


def kill_driver_at(lab: Lab, out: Path, moment: list[str]) -> str:
    process = lab.start(out, below=str(out), kill_at=moment)
    code = process.wait(timeout=RUN_SECONDS)
    assert code == -signal.SIGKILL, f"{moment}: exit code {code}: {lab.output(out).read_text()}"
    return f"in {moment[1]}, {moment[0]}"


def kill_clusters(lab: Lab, number: int, draw: random.Random) -> Counter[str]:
    """Every process of the cluster is killed, the driver among them or, every other time, left to end by itself;
    then all is started again."""
    figures: Counter[str] = Counter()
    out = lab.fresh()
    trials = len(plan_trials(lab.study))
    for i, completed in enumerate(sorted(draw.randrange(trials * 3 // 4) for _ in range(number))):
        process = lab.start(out)
        lab.await_training(out, completed, draw)
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
    draw = random.Random(options.seed)
    with lab(options.repeats, options.epochs) as made:
        print(f"{2 * options.repeats} trials of {options.epochs} epochs, seed {options.seed}", flush=True)
        moments: list[list[str]] = []
        acts: dict[str, Callable[[], Counter[str] | None]] = {
            "undisturbed, twice": lambda: moments.extend(undisturbed(made, 2)),
            "kills": lambda: disturb(made, [kill_worker] * options.kills, 1.5, draw),
            "writes": lambda: kill_in_writes(made, options.writes, options.seed),
            "hangs": lambda: disturb(made, [hang_worker] * options.hangs, 4, draw),
            "machines": lambda: disturb(made, [lose_machine] * options.machines, 4, draw),
            "drivers": lambda: kill_drivers(made, options.drivers, moments, draw),
            "clusters": lambda: kill_clusters(made, options.clusters, draw),
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
