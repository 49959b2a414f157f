"""What a command prints, where it cannot be written or nobody reads it."""

import os
import select
import subprocess
import sys

import processes
import pytest
from scans import cohort

from hnscc.cohort.store import open_store

HNSCC = f'"{sys.executable}" -P -c "from hnscc.commands.cli import main; main()"'


def in_shell(line: str, **changed: str) -> tuple[int, str]:
    """Exit code and standard error of a command line, with HNSCC for the command."""
    environment = os.environ | {"PYTHONPATH": str(processes.ROOT), "OMP_NUM_THREADS": "1"} | changed
    done = subprocess.run(
        ["bash", "-c", line.replace("HNSCC", HNSCC)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["settings", "--version"], ids=["more than a buffer", "less"])
def test_output_on_a_full_disk_is_told(command):
    """It was a traceback, or exit code 120."""
    code, error = in_shell(f"HNSCC {command} > /dev/full")
    assert code == 1
    assert (
        error.startswith("error: What the command prints cannot be written.\n") and error.count("error") == 1
    )
    assert "found:      No space left on device\n" in error and "Traceback" not in error


def test_a_letter_that_the_encoding_of_the_output_lacks_is_an_escape():
    """A dash in a table, at the end of a run, was a traceback on a terminal of Latin-1."""
    work = "from hnscc.base.command import exit_code_of\nexit_code_of(lambda: print('\u2013 \u00e9') or 0)"
    done = subprocess.run(
        [sys.executable, "-c", work],
        env=os.environ | {"PYTHONPATH": str(processes.ROOT), "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"\\u2013 \xe9\n", done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_each_line_can_be_read_while_the_command_works(unbuffered):
    """Of a training whose log is a file or a pipe, nothing was seen for its first hundred epochs."""
    work = (
        "import sys; from hnscc.base.command import exit_code_of\n"
        "exit_code_of(lambda: print('begun') or len(sys.stdin.readline()))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", work],
        env=os.environ | {"PYTHONPATH": str(processes.ROOT), "PYTHONUNBUFFERED": unbuffered},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        told, _, _ = select.select([process.stdout], [], [], 20)
        printed, _ = process.communicate(b"end\n")
    assert told and printed == b"begun\n"


@pytest.mark.slow
def test_a_reader_that_has_what_it_wants_ends_no_command(tmp_path):
    """A training was ended at its second line, with exit code 1 and without a word."""
    assert in_shell("set -o pipefail; HNSCC settings | head -1") == (0, "")
    made = f"{cohort(tmp_path)} {tmp_path / 'store.zarr'} --size 16"
    assert in_shell(f"set -o pipefail; HNSCC prepare {made} | true") == (0, "")
    assert open_store(tmp_path / "store.zarr").scans
    assert in_shell(f"set -o pipefail; HNSCC status {tmp_path} | true")[0] == 2
    assert in_shell(f"set -o pipefail; HNSCC status {tmp_path} 2>&1 | true")[0] == 2


@pytest.mark.parametrize(("where", "other"), [("stdout", "stderr"), ("stderr", "stdout")])
def test_a_terminal_that_was_closed_ends_no_command(where, other):
    """It was an error of what is printed, and of standard error a traceback, amid the end of a run."""
    terminal, end = os.openpty()
    work = (
        "import sys; from hnscc.base.command import exit_code_of\n"
        f"def work():\n print(file=sys.{other})\n sys.stdin.readline()\n print('told', file=sys.{where})\n return 7\n"
        "sys.exit(exit_code_of(work))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", work],
        env=os.environ | {"PYTHONPATH": str(processes.ROOT)},
        stdin=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, where: end},
    )
    os.close(end)
    getattr(process, other).readline()
    os.close(terminal)
    assert not any(process.communicate(b"closed\n")) and process.returncode == 7


@pytest.mark.quick(1)
@pytest.mark.parametrize("closed", [">&-", "<&-", ">&- 2>&- <&-"])
def test_a_command_works_with_its_streams_closed(tmp_path, closed):
    """`'NoneType' object has no attribute 'isatty'`; and the first file that it opened stood in the stream's place."""
    assert in_shell(f"HNSCC settings {closed}") == (0, "")
    code, error = in_shell(f"HNSCC status {tmp_path} {closed}")
    assert code == 2 and ("2>&-" in closed or error.startswith("error: "))


def test_a_limit_of_the_size_of_files_is_told(tmp_path):
    """`OSError: [Errno 27] File too large`, a traceback."""
    code, error = in_shell(f"ulimit -f 1; HNSCC settings > {tmp_path / 'settings'}")
    assert code == 1 and "What the command prints cannot be written." in error and "File too large" in error
