"""Processes that prepare scans end with the command that started them, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys

SCRIPT = """\
import os, signal
from data_prep.workers import worker_pool

if __name__ == "__main__":
    with worker_pool(2) as pool:
        print(pool.submit(abs, -7).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_of_a_command_that_is_killed_end_too(tmp_path):
    """They waited forever for its next task, with the memory of a scan each, and whoever read its output with them."""
    (tmp_path / "killed.py").write_text(SCRIPT)
    killed = subprocess.Popen(
        [sys.executable, tmp_path / "killed.py"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        out, _ = killed.communicate(timeout=60)  # ends once nobody holds its output
        assert (out, killed.returncode) == ("7\n", -signal.SIGKILL)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(killed.pid, signal.SIGKILL)
