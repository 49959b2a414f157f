"""A command line that no command takes is told as every other error, and repeats no path."""

import os

import pytest
from commands import advice, refused

from hnscc.commands import results_api as api

SAID = {
    "predict": ("lacks what it needs", "run: Run folder", "no run"),
    "export runs/x": ("lacks what it needs", "--out: New folder", "no --out"),
    "query runs/x": ("lacks what it needs", "sql: SQL", "no sql"),
    "rum x": ("The command is unknown.", "expected:   run", "found:      rum"),
    "nope": ("The command is unknown.", "aggregate, check, doctor", "nope"),
    "DICOM/Jane": ("The command is unknown.", "aggregate, check, doctor", "found:      another word"),
    "run --nope x": ("The option is unknown.", "--out, --address, --limit or --accept-versions", "--nope"),
    "check x --accept": ("The option is unknown.", "expected:   --accept-versions", "--accept"),
    "--nope": ("The option is unknown.", "--version", "--nope"),
    "prepare m s --reference": ("--reference lacks its value", "--reference and a value", "alone"),
    "run s.yaml --limit x": ("--limit is not valid", "a whole number", "found:      x"),
    "run s.yaml --limit=2.5": ("--limit is not valid", "a whole number", "found:      2.5"),
    "run s.yaml --limit scans/Jane.nii": (
        "--limit is not valid",
        "a whole number",
        "found:      another word",
    ),
    "run s.yaml --limit=Jane": ("--limit is not valid", "a whole number", "found:      another word"),
    "plan runs/x --see much": ("--see is not valid", "a number", "found:      much"),
    "verify a.zarr Jane.zarr": ("takes no more arguments", "expected:   store", "1 argument more"),
    "check s.yaml Jane --out runs/x --half-width 0.1": (
        "takes no more arguments",
        "found:      1 argument more",
    ),
    "verify a.zarr Jane John": ("expected:   store", "found:      2 arguments more"),
}


@pytest.mark.parametrize("line", SAID)
def test_a_line_that_no_command_takes_is_told_as_every_other_error(hnscc, line):
    """Typer said `Input should be a valid integer, unable to parse string as an integer`, and nothing of what to do."""
    error = refused(hnscc(*line.split()))
    assert all(said in error for said in SAID[line]) and "Jane" not in error
    command = (
        "hnscc" if line.split()[0] in ("rum", "nope", "DICOM/Jane", "--nope") else f"hnscc {line.split()[0]}"
    )
    assert advice(error) == f"correct the command line; `{command} --help` lists what it takes"


def test_an_empty_line_is_answered_with_help(hnscc):
    code, _, error = hnscc()
    assert code == 2 and "prepare" in error and "Traceback" not in error


def test_help_and_version_are_no_faults(hnscc):
    assert hnscc("run", "--help")[0] == 0 and hnscc("--version")[0] == 0


@pytest.mark.parametrize("command", ["phantom", "check", "verify"])
def test_an_argument_that_is_not_in_utf8_is_told(hnscc, tmp_path, command):
    """Where standard output takes UTF-8 alone, or it was to be written into a text, it ended in a traceback."""
    error = refused(hnscc(command, tmp_path / "Jane\udcff"))
    assert error.startswith("error: An argument is not in UTF-8.\n") and "argument 2" in error
    assert "Jane" not in error and not [*tmp_path.iterdir()]


def test_ctrl_c_is_one_line_whatever_the_command_does(hnscc, monkeypatch, tmp_path):
    """Outside of trainings it was exit code 130 without a word."""

    def _ended(*given: object) -> None:
        raise KeyboardInterrupt  # as Python's handler of the signal does, wherever the command is

    monkeypatch.setattr(api, "query", _ended)
    assert hnscc("query", tmp_path, "select 1") == (130, "", "Interrupted.\n")


def test_a_path_that_may_not_be_read_is_not_repeated(hnscc, tmp_path):
    (tmp_path / "Jane").mkdir(mode=0o300)
    if os.getuid() == 0:
        os.setreuid(65534, -1)  # by which Typer judges
    try:
        error = refused(hnscc("scan", tmp_path / "Jane"))
    finally:
        if os.geteuid() == 0:
            os.setreuid(0, -1)
    assert "folder is not valid" in error and "one that may not be read" in error and "Jane" not in error
