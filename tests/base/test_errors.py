"""Errors that are told: what stands where in their messages, and what ends a command without a traceback."""

import copy
import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from hnscc.base.command import ENDED_FROM_OUTSIDE, exit_code_of
from hnscc.base.errors import InputError, several


def fault(where: str, do: str) -> InputError:
    return InputError("It is wrong.", where=where, expected="right", found="wrong", do=do)


def test_what_to_do_stands_beside_its_fault_and_is_said_once():
    """All that there was to do stood at the end, apart from the faults."""
    rows = {"row 2": "mend it", "row 3": "mend it", "row 5": "x", "row 7": "mend it"}
    told = several([fault(row, do) for row, do in rows.items()])
    assert str(told).splitlines() == [
        "4 faults were found.",
        "  1. row 2: It is wrong. Expected right; found wrong.",
        "  2. row 3: It is wrong. Expected right; found wrong.",
        "     what to do: mend it",
        "  3. row 5: It is wrong. Expected right; found wrong.",
        "     what to do: x",
        "  4. row 7: It is wrong. Expected right; found wrong.",
        "     what to do: as for 1",
    ]
    assert str(copy.deepcopy(told)) == str(told), "it crosses the borders of processes"


def test_one_fault_is_told_as_itself():
    one = fault("row 2", "mend it")
    assert several([one]) is one
    assert str(several([one, fault("row 2", "mend it")])) == str(one)


def test_memory_that_ran_out_is_one_message(capsys):
    """It ended in a traceback."""
    assert exit_code_of(lambda: len(np.zeros(10**15))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: Memory ran out.") and "7.11 PiB" in said and "Traceback" not in said


def test_the_arguments_that_are_checked_are_those_of_the_command(monkeypatch, capsys):
    """Called from Python, a command was refused for an argument of that program, and its own were not checked."""
    monkeypatch.setattr("sys.argv", ["another program", "\udcff"])
    assert exit_code_of(lambda: 0, ["run"]) == 0
    assert exit_code_of(lambda: 0, ["run", "\udcff"]) == 2
    assert "argument 2" in capsys.readouterr().err


def _ended_by_ctrl_c() -> int:
    """As Python's handler of the signal does; a job in the background may have none."""
    raise KeyboardInterrupt


def _ended_by_sigterm() -> int:
    """As a process in which Ray was started ends by it."""
    sys.exit(signal.SIGTERM)


@pytest.fixture
def signals():
    """The handlers of the signals that a command sets are put back."""
    before = {number: signal.getsignal(number) for number in ENDED_FROM_OUTSIDE}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDED_FROM_OUTSIDE)
def test_a_signal_from_outside_ends_a_command_as_ctrl_c_does(number, signals, capsys):
    """A terminal that was closed ended the process at once, and left its folders in /tmp and its trainings behind."""
    signal.signal(number, signal.SIG_DFL)
    assert exit_code_of(lambda: signal.raise_signal(number) or 0, []) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_signal_that_nohup_has_ignored_stays_ignored(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert exit_code_of(lambda: signal.raise_signal(signal.SIGHUP) or 0, []) == 0


@pytest.mark.parametrize("command", [_ended_by_ctrl_c, _ended_by_sigterm])
def test_an_interrupt_is_one_line_and_exit_code_130(command, capsys):
    """It was a traceback, or exit code 15 without a word."""
    assert exit_code_of(command, []) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_refused_access_is_told_without_its_path_from_another_process_too(capsys):
    """Ray gives what a task raised as the cause of an error that is of its kind, and has no number."""
    refused = PermissionError()
    refused.cause = PermissionError(errno.EACCES, "Permission denied", "/scans/smith")

    def _refused() -> int:
        raise refused

    assert exit_code_of(_refused, []) == 2
    told = capsys.readouterr().err
    assert "found:      Permission denied" in told and "smith" not in told


def test_another_exit_stays_what_it_is():
    with pytest.raises(SystemExit) as ended:
        exit_code_of(lambda: sys.exit(3), [])
    assert ended.value.code == 3


LEAVES = """
import atexit, sys
from hnscc.base.command import leave

atexit.register(print, "registered")
print("printed")
leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("code", "to", "ends", "written"),
    [
        (3, "", 3, "printed\nregistered\n"),
        (3, ">&-", 3, ""),
        (0, "2>&-", 0, "printed\nregistered\n"),
        (0, "> /dev/full", 120, ""),
        (2, "> /dev/full", 2, ""),
    ],
)
def test_a_process_that_leaves_ends_what_is_registered_and_keeps_its_exit_code(code, to, ends, written):
    """Also where a stream is closed, or cannot be written: then 0 alone becomes another, as without it."""
    line = f'exec "$0" -c "$1" {code} {to}'
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    command = ["sh", "-c", line, sys.executable, LEAVES]
    done = subprocess.run(command, env=buffered, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (ends, written, "")
