"""A module of the project as its user would start it: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(home: Path, module: str, *arguments, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """python -m module; home: where Ray keeps files."""
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"} | (environment or {})
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(
        command, env=inherited | own, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(
    home: Path, module: str, *arguments, code: int = 0, environment: dict[str, str] | None = None
) -> tuple[str, str]:
    """Let it end with that exit code; what it printed and its errors."""
    process = start(home, module, *arguments, environment=environment)
    out, error = process.communicate(timeout=500)
    assert process.returncode == code, error + out
    return out, error
