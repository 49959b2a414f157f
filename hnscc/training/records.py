"""What a trial's folder says of itself: the record, written last, vouches for its other files by their hashes."""

import contextlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from hnscc.base.files import read_sealed, sha256, storage_errors, write_sealed
from hnscc.base.locations import S3Path
from hnscc.study.run_folder import RunFolder, TrialFolder

# A trial's own history.parquet.
HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("val_loss", pa.float64()),
        ("val_soft_jaccard", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
# Weights may be pruned once no reading needs them; what the tables come from may not.
NEEDED = ("history.parquet", "predictions.npz")


def write_record(folder: TrialFolder, record: dict[str, Any]) -> None:
    write_sealed(folder.record, record)


def read_record(folder: TrialFolder) -> dict[str, Any] | None:
    """The trial's record, or None where it has none or its record is not whole."""
    try:
        record = read_sealed(folder.record)
    except (FileNotFoundError, ValueError):
        return None
    whole = {"status", "identity", "settings"} <= record.keys()
    return record if whole and ("files" if record["status"] == "completed" else "error") in record else None


def progress(folder: TrialFolder) -> dict[str, Any] | None:
    """The facts of a running or interrupted trial's newest checkpoint: epoch, history, attempts; None without one."""
    found = []
    for number in (0, 1):
        with contextlib.suppress(FileNotFoundError, ValueError):
            found.append(read_sealed(folder.slot(number).facts))
    return max(found, key=lambda facts: facts["epoch"], default=None)


def tidy(folder: TrialFolder) -> None:
    """Delete the checkpoints of a finished trial, and what killed processes left half-written."""
    for number in (0, 1):
        folder.slot(number).facts.unlink(missing_ok=True)
        folder.slot(number).tensors.unlink(missing_ok=True)
    below = folder.slot(0).root
    if isinstance(below, Path) and below.is_dir():
        for each in [*folder.root.glob(".*.tmp"), *below.glob(".*.tmp")]:
            each.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process of this trial, cut off, still writes there
            below.rmdir()


def tidy_run(folder: RunFolder, completed: set[str]) -> None:
    """Delete what killed processes left in a run folder that nobody works in: half-written files, proofs that it
    is shared, and checkpoints of `completed` trials."""
    left = [
        path for path in folder.root.glob("trials/*/checkpoint/*") if path.parent.parent.name in completed
    ]
    left += folder.root.glob(".shared/*")
    if isinstance(folder.root, Path):  # elsewhere a write is one request
        left += [path for depth in ("", "*/", "*/*/") for path in folder.root.glob(f"{depth}.*.tmp")]
    for path in left:
        path.unlink(missing_ok=True)
    if isinstance(folder.root, Path):
        for emptied in [*folder.root.glob("trials/*/checkpoint"), *folder.root.glob(".shared")]:
            with contextlib.suppress(OSError):  # it is not empty
                emptied.rmdir()


def damage(folder: TrialFolder, record: dict[str, Any]) -> str | None:
    """What is wrong with a completed trial's files, or None.

    On S3 the weights, which no table comes from and which are most of what a trial holds, are not fetched for it.
    """
    for name, expected in record["files"].items():
        path = folder.root / name
        if isinstance(path, S3Path) and name not in NEEDED:
            continue
        try:
            with storage_errors(path):
                content = path.read_bytes()
        except FileNotFoundError:
            if name in NEEDED:
                return f"{name} is gone"
        else:
            if sha256(content) != expected:
                return f"{name} is damaged: its content is not what was written"
    return None


def is_complete(folder: TrialFolder) -> bool:
    record = read_record(folder)
    return record is not None and record["status"] == "completed" and damage(folder, record) is None
