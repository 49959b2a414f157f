"""The commands as a user meets them: help with an example, exit codes, one clear message for bad input."""

import re

import pytest
from commands import refused
from typer.main import get_command

from hnscc.commands import cohort_commands, new_scan_commands, results_commands, study_commands
from hnscc.commands.cli import app

COMMANDS = sorted(get_command(app).commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(hnscc, command):
    code, out, _ = hnscc(command, "--help")
    assert code == 0
    assert f"Example: hnscc {command} " in " ".join(out.split())


@pytest.mark.parametrize(
    "module",
    [cohort_commands, study_commands, results_commands, new_scan_commands],
    ids=lambda each: each.__name__,
)
def test_a_file_of_commands_names_each_of_them_first(module):
    own = {
        name
        for name, each in get_command(app).commands.items()
        if each.callback.__module__ == module.__name__
    }
    assert set(re.findall(r"\w+", module.__doc__.partition("\n")[0].rpartition(": ")[2])) == own


def test_the_list_of_commands_fits_on_a_terminal(hnscc, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = hnscc("--help")
    listed = out.partition("Commands:")[2]
    assert code == 0 and all(f"  {command} " in listed for command in COMMANDS)
    assert "..." not in listed, "the first sentence of a command's help is too long"


def test_the_commands_of_the_contract_exist(hnscc):
    assert {"phantom", "prepare", "verify", "check", "run", "aggregate", "report", "query"} <= set(COMMANDS)
    assert hnscc("nonsense")[0] == 2
    assert hnscc("query", "only-one-argument")[0] == 2
    assert hnscc("--version")[1].startswith("hnscc ")


def test_folders_that_are_no_run_folder_are_refused(hnscc, tmp_path):
    for command in (
        ["query", tmp_path, "SELECT 1"],
        ["aggregate", tmp_path],
        ["report", tmp_path / "absent"],
        ["prune", tmp_path],
    ):
        assert "not a run folder" in refused(hnscc(*command))


@pytest.mark.parametrize(
    ("command", "option", "given", "expected"),
    [
        ("run", "--limit", "-1", "a whole number, 0 or more"),
        ("check", "--half-width", "2", "a number, 1e-06 to 1"),
        ("plan", "--half-width", "nan", "a number, 1e-06 to 1"),
        ("plan", "--see", "0", "a number, 0.001 to 1"),
        ("plan", "--power", "1.2", "a number, 0.5 to 0.99"),
    ],
)
def test_a_number_out_of_range_is_told_with_what_was_found_and_what_to_do(
    hnscc, finished, command, option, given, expected
):
    """The parser of options told no way out, and of a number not what was found."""
    of = finished if command == "plan" else finished / "study.yaml"
    told = " ".join(refused(hnscc(command, of, option, given)).split())
    assert f"{option} is out of range." in told
    assert f"expected: {expected}" in told and f"found: {given.removesuffix('.0')}" in told
    assert f"Correct {option} or leave it out." in told
