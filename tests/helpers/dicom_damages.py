"""Reads many damaged DICOM series in this process, within a limit of memory: `dicom_damages.py FOLDER COUNT SEED`.

FOLDER holds a folder for each undamaged series. Prints how many were refused, how many were read, and by how many MiB
memory grew at most. Any other exception ends the process with its traceback, as does a file that was read although its
end is missing.
"""

import random
import resource
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

from data_prep.dicom.series_in_folder import list_folders
from data_prep.files.read import read_volume
from hnscc.base.errors import InputError

MEMORY = 4 * 2**30  # bytes of address space, much of which the libraries themselves map


def damaged(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return the kind of damage, and the damaged file: bits flipped, bytes exchanged, a length made huge, or the
    end cut."""
    data = bytearray(content)
    kind = rng.choice(["bits", "header", "length", "cut", "hole", "swap"])
    if kind == "cut":
        return kind, bytes(data[: rng.randrange(len(data) - 8)])
    if kind == "hole":
        at = rng.randrange(len(data))
        return kind, bytes(data[:at] + data[at + rng.randrange(1, 64) :])
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(128, len(data) if kind == "bits" else min(len(data), 2500))
        if kind == "length":
            data[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xfe\xff\0\xe0"]
            )
        elif kind == "swap":
            data[at : at + 2] = bytes(reversed(data[at : at + 2]))
        else:
            data[at] = rng.randrange(256) if kind == "header" else data[at] ^ 1 << rng.randrange(8)
    return kind, bytes(data)


def counted(script: ModuleType, folder: Path, count: int, seed: int) -> tuple[int, int, int]:
    """Run this script, or one that prints the same, in a process of its own; return its counts. It must print
    nothing else."""
    ran = subprocess.run(
        [sys.executable, str(script.__file__), str(folder), str(count), str(seed)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stderr == ""
    refused, read, mebibytes = map(int, ran.stdout.split())
    return refused, read, mebibytes


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    before = most_memory()
    rng, outcomes = random.Random(seed), Counter[str]()
    sound = sorted(each for each in folder.iterdir() if each.is_dir())
    for number in range(count):
        scratch = Path(shutil.copytree(rng.choice(sound), folder.parent / "damaged", dirs_exist_ok=False))
        file = rng.choice(sorted(scratch.iterdir()))
        kind, content = damaged(file.read_bytes(), rng)
        file.write_bytes(content)
        try:
            read_volume(scratch, "scan S")
            outcomes["read"] += 1
            assert kind != "cut", f"number {number}: a file that is cut short was read"
        except InputError as error:
            assert "SECRET" not in str(error) and str(scratch) not in str(error), number
            outcomes["refused"] += 1
        assert "SECRET" not in str(list_folders([scratch])), number
        shutil.rmtree(scratch)
    print(outcomes["refused"], outcomes["read"], most_memory() - before)


def most_memory() -> int:
    """Return the most memory, in MiB, that this process has held. getrusage would count that of the process that
    started it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
