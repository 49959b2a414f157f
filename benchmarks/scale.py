"""How this process's time and memory grow with the number of trials, which do nothing here.

    python benchmarks/scale.py [--trials 200 2000]

Tune schedules them as in a study (`rayjobs.scheduling.train_trials`); what they would write is left out. The time is
that of this process's processor, each number of trials in a process of its own. Twice the trials may take twice the
time: a ratio above 1 between the seconds of a trial at both ends says that a part grows faster.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, tell

TRIALS = (200, 2000)


def measure(trials: int) -> dict[str, float]:
    """Seconds of processor and of the clock, and peak MiB of a process of its own."""
    command = [sys.executable, __file__, "--alone", str(trials)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def alone(trials: int) -> dict[str, float]:
    """The same, of this process."""
    from overhead import NoOpWorker, no_op_run
    from startup import study_on_a_phantom

    import rayjobs.scheduling
    from hnscc.study.loading import load_study
    from hnscc.study.plan import plan_trials
    from hnscc.training.ready import make_run_ready
    from rayjobs.cluster import connected

    scheduling: Any = rayjobs.scheduling
    scheduling.TrialWorker = NoOpWorker
    with tempfile.TemporaryDirectory(prefix="hnscc-bench-") as folder:
        run = make_run_ready(load_study(study_on_a_phantom(Path(folder))), Path(folder) / "run")
        no_op = no_op_run(run, Path(folder) / "no_op", trials, 1)
        todo = list(plan_trials(no_op.study))
        with connected(None), contextlib.redirect_stdout(io.StringIO()):
            began, used = time.perf_counter(), time.process_time()
            rayjobs.scheduling.train_trials(no_op, todo, None, planned=todo, left=todo, pause_after={})
            took = {"cpu": time.process_time() - used, "clock": time.perf_counter() - began}
    return took | {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=TRIALS)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(alone(options.alone)))
        return
    found = {trials: measure(trials) for trials in options.trials}
    few, many = min(found), max(found)
    each = {trials: took["cpu"] / trials for trials, took in found.items()}
    detail = "; ".join(
        f"{trials:,} trials: {took['cpu']:.1f} s of processor, {took['clock']:.0f} s, {took['mib']:.0f} MiB"
        for trials, took in found.items()
    )
    what = f"driving process: seconds of a trial that does nothing, of {many:,} over of {few:,}"
    tell(Figure(what, 1.2, (each[many] / each[few],), "x", detail, at_most=True))
    what = f"driving process: its peak memory, with {many:,} trials over with {few:,}"
    tell(Figure(what, many / few, (found[many]["mib"] / found[few]["mib"],), "x", detail, at_most=True))


if __name__ == "__main__":
    main()
