"""What the tests on a real S3 server share: commands in processes of their own, damage, outages."""

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from s3_server import S3Server
from stores import study_of

from hnscc.aggregation.schemas import STUDY_TABLES
from hnscc.base import locations
from hnscc.base.locations import S3Path, client
from hnscc.study.run_folder import RunFolder

BUCKET = "hnscc-test"
CHECKOUT = Path(__file__).resolve().parents[2]
# Set-up of a process that asks a silent server for three seconds only.
PATIENCE = "import hnscc.base.locations as p; p.OUTAGE_SECONDS = 3.0; p.STALL_SECONDS = 2.0"
EPOCHS = 4
STARTED: list[subprocess.Popen[str]] = []


@contextlib.contextmanager
def surroundings(server: S3Server, home: Path) -> Iterator[None]:
    """This process, and what it starts, finds that server, and has a home folder of its own, where Ray keeps files."""
    foreign = [
        *locations.ENDPOINT,
        *locations.CREDENTIALS,
        *(name for name in os.environ if name.startswith("RAY_")),
    ]
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for name in foreign:
            patch.delenv(name, raising=False)
        for name, value in (own | server.environment).items():
            patch.setenv(name, value)
        client.cache_clear()
        yield
    client.cache_clear()


def spawn(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    STARTED.append(
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever starts these tests in the background has them ignore Ctrl-C; what they start must not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    )
    return STARTED[-1]


def start(program: str, *arguments: object, set_up: str = "") -> subprocess.Popen[str]:
    """`hnscc`, or a module's own command, in a process of its own; set_up: Python to run first."""
    module = {"hnscc": "hnscc.commands.cli", "train": "hnscc.train", "study": "rayjobs.study"}[program]
    return spawn(f"{set_up}\nimport sys, {module} as program\nsys.exit(program.main())", *arguments)


def run(program: str, *arguments: object, code: int = 0, set_up: str = "") -> tuple[str, str]:
    process = start(program, *arguments, set_up=set_up)
    out, error = process.communicate(timeout=400)
    assert process.returncode == code, out + error
    assert "Traceback" not in error
    return out, error


def until(happened: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def objects(prefix: S3Path) -> dict[str, bytes]:
    return {path.key.removeprefix(f"{prefix.key}/"): path.read_bytes() for path in prefix.below()}


def harmed(content: bytes, harm: str, rng: random.Random) -> bytes:
    position = rng.randrange(len(content))
    if harm == "cut":
        return content[:position]
    return content[:position] + bytes([content[position] ^ 1 << rng.randrange(8)]) + content[position + 1 :]


def write_study(folder: Path, store: str, **settings: Any) -> Path:
    raw = study_of(store, training={"epochs": EPOCHS} | settings.pop("training", {}), **settings)
    (folder / "study.yaml").write_text(yaml.safe_dump(raw.model_dump(mode="json"), sort_keys=False))
    return folder / "study.yaml"


def same_tables(one: RunFolder, other: RunFolder) -> None:
    """Byte for byte, but for the tables with wall-clock columns: these are equal outside of them."""
    for name in STUDY_TABLES:
        files = [folder.table(name).read_bytes() for folder in (one, other)]
        tables = [pq.read_table(io.BytesIO(content)) for content in files]
        if "seconds" in tables[0].column_names:
            first, second = (table.drop_columns(["seconds"]) for table in tables)
            assert first.equals(second, check_metadata=True), name
        else:
            assert files[0] == files[1], name


@contextlib.contextmanager
def outage(server: S3Server, seconds: float) -> Iterator[None]:
    """The server is killed now, and started again after so long."""
    server.kill()
    again = threading.Timer(seconds, server.start)
    again.start()
    try:
        yield
    finally:
        again.join()
