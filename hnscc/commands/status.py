"""How far a study has come, read from its run folder alone: from another terminal or machine, while it runs."""

import contextlib
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from hnscc.study.loading import load_study
from hnscc.study.plan import plan_trials
from hnscc.study.run_folder import RunFolder, TrialFolder
from hnscc.training.records import Failed, progress, read_record

# A checkpoint may be written over between two looks at it.
LOOKS = 3


def run_status(folder: RunFolder) -> dict[str, Any]:
    """Everything `hnscc status` prints, as JSON. InputError where the study cannot be read.

    `started` trials have a checkpoint and no record yet; `heard` is the seconds since it was written. Records are
    believed here: whether a trial's files are whole is checked when they are used.
    """
    study = load_study(folder.study)
    variants = {name: Counter() for name in study.variants}
    started, failed = [], []
    for trial in plan_trials(study):
        where = folder.trial(trial.trial_id)
        record = read_record(where)
        saved, written = (None, 0.0) if record else _saved(where)
        record = record or read_record(where)  # it may have ended since
        saved = None if record else saved
        state = record.status if record else "started" if saved else "missing"
        # How many repeats a configuration of a search is to have, nobody knows yet.
        variants[trial.variant][state] += not (study.search and state == "missing")
        if isinstance(record, Failed):
            failed.append({"trial": trial.trial_id, "failure": record.failure})
        if saved:
            epochs = study.variants[trial.variant].training.epochs
            started.append(
                {
                    "trial": trial.trial_id,
                    "epoch": saved["epoch"],
                    "of": epochs,
                    "interruptions": len(saved["attempts"]) - 1,
                    "heard": max(0.0, time.time() - written),
                }
            )
    states = ("completed", "failed", "started", "missing")
    return {
        "study": study.name,
        "variants": {name: {state: counts[state] for state in states} for name, counts in variants.items()},
        "started": started,
        "failed": failed,
        "tables": folder.table("pooled").is_file(),
    }


def _saved(folder: TrialFolder) -> tuple[dict[str, Any] | None, float]:
    """The facts of a trial's newest checkpoint, and when it was written, in seconds since 1970; (None, 0) without."""
    for _ in range(LOOKS):
        saved = progress(folder)
        if saved is None:
            break
        with contextlib.suppress(FileNotFoundError):  # its trial has gone on since
            return saved, folder.slot(saved["epoch"] % 2).facts.stat().st_mtime
    return None, 0.0


def print_status(found: dict[str, Any], console: Console, run: str) -> None:
    table = Table()
    for name in ("variant", "completed", "failed", "started", "missing"):
        table.add_column(name, justify="left" if name == "variant" else "right")
    for name, counts in found["variants"].items():
        table.add_row(name, *map(str, counts.values()))
    console.print(table)
    for each in found["started"]:
        line = f"{each['trial']:<26} epoch {each['epoch']} of at most {each['of']}, {each['heard']:.0f} s ago"
        again = f", {each['interruptions']} interruptions" if each["interruptions"] else ""
        console.print(line + again, highlight=False, soft_wrap=True)
    for each in found["failed"]:
        console.print(f"{each['trial']:<26} failed: {each['failure']}", highlight=False, soft_wrap=True)
    if found["tables"]:
        console.print(f"tables: hnscc query {run} 'SHOW TABLES'", highlight=False, soft_wrap=True)
