"""A study of short trials on a cluster of this machine, which faults disturb: how it is started, and checked."""

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).parent / "faults"
sys.path[:0] = [str(ROOT / "tests/helpers"), str(Path(__file__).parent)]

from machines import Cluster, cluster, wait_until, without_ray  # noqa: E402
from stores import make_store, study_of  # noqa: E402

from hnscc.aggregation.schemas import STUDY_TABLES  # noqa: E402
from hnscc.base.encode import parquet_bytes  # noqa: E402
from hnscc.study.run_folder import RunFolder  # noqa: E402
from hnscc.study.schema import Study  # noqa: E402
from hnscc.study.trials import trials_of  # noqa: E402
from hnscc.training.records import read_record  # noqa: E402
from hnscc.training.states import trial_state  # noqa: E402

# For one invocation of the command, on a machine that others use too.
RUN_SECONDS = 1800
# A worker that nothing happens to needs less to start and to finish an epoch, however loaded the machine.
HUNG_AFTER = 20


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
        """A new run folder's path; what is logged from now on is about its trials.

        AssertionError, with its log, where the cluster's head has ended by itself.
        """
        head = self.cluster.machines[0]
        assert head.started.poll() is None, head.told()
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

    def await_training(self, out: Path, completed: int, rng: random.Random) -> None:
        """Until so many trials are completed and others are being trained; and up to two seconds more."""
        records = (out / "trials").glob
        wait_until(
            lambda: self.cluster.trial_workers() and len(list(records("*/record.json"))) >= completed,
            RUN_SECONDS,
            f"{completed} trials completed",
        )
        time.sleep(rng.uniform(0, 2))

    def check(self, out: Path) -> Counter[str]:
        """AssertionError unless the run folder is as if nothing had happened; else what had happened to its trials."""
        assert tables(out) == self.expected
        folder = RunFolder(out)
        trials = trials_of(self.study)
        states = Counter(trial_state(folder.trial(trial.trial_id)).status for trial in trials)
        assert states == {"completed": len(trials)}
        assert sorted(each.name for each in (out / "trials").iterdir()) == sorted(t.trial_id for t in trials)
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
        for own in trials_of(self.study):
            record = read_record(folder.trial(own.trial_id))
            assert record, own
            happened["trials interrupted"] += starts[own.trial_id] > 1
            happened["interruptions"] += starts[own.trial_id] - 1
            happened["attempts in records"] += len(record.attempts)
        return happened


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
