"""A trial's record: written last, it vouches for the trial's other files by their hashes."""

import json
from typing import Any

from hnscc.files import sha256, write_json
from hnscc.plan import TrialFolder

# Weights may be pruned once no reading needs them; what the tables come from may not.
NEEDED = ("history.parquet", "predictions.npz")


def write_record(folder: TrialFolder, record: dict[str, Any]) -> None:
    write_json(folder.record, record)


def read_record(folder: TrialFolder) -> dict[str, Any] | None:
    """The trial's record, or None where it has none or its record is not whole."""
    try:
        record = json.loads(folder.record.read_text())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(record, dict) and {"status", "identity", "settings"} <= record.keys()
    return record if whole and ("files" if record["status"] == "completed" else "error") in record else None


def damage(folder: TrialFolder, record: dict[str, Any]) -> str | None:
    """What is wrong with a completed trial's files, or None."""
    for name, expected in record["files"].items():
        path = folder.root / name
        if not path.is_file():
            if name in NEEDED:
                return f"{name} is gone"
        elif sha256(path.read_bytes()) != expected:
            return f"{name} is damaged: its content is not what was written"
    return None


def is_complete(folder: TrialFolder) -> bool:
    record = read_record(folder)
    return record is not None and record["status"] == "completed" and damage(folder, record) is None
