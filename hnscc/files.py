"""Atomic writes and content hashes: a file is there whole, or not at all."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, flush it to the disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with sorted keys; NaN and infinity are refused (ValueError), since JSON has none."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hash_of(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces), as 64 hexadecimal digits."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
