"""Turns a command line that no command accepts into an error in the form of every other error. It does not repeat what
stands in place of a path, which may be a patient's file."""

import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of, listed

# The class of errors that Typer raises for such a line; it has no public name.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# Words that errors repeat: they are no path, and no name in capitals.
_PLAIN = re.compile(r"[a-z]+|[-+.,e\d]+")
# What a value should be, by the words in Typer's message.
_KINDS = {"valid integer": "a whole number", "valid number": "a number", "valid float": "a number"}


def run_app(app: typer.Typer) -> int:
    """Run the command with which this process was called, and return its exit code: 2, with help, where none is
    named. InputError where no command accepts the line; KeyboardInterrupt after Ctrl-C, of which Typer alone would
    say nothing."""
    commands: Any = typer.main.get_command(app)
    try:
        with commands.make_context("hnscc", sys.argv[1:]) as context:
            code = commands.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error, file=sys.stderr)
            return 2
        raise fault_of(error, sys.argv[1:]) from None
    return code if isinstance(code, int) else 0


def fault_of(error: Any, line: Sequence[str]) -> InputError:
    """Return what is wrong with a command line. error: a UsageError. line: its words after `hnscc`."""
    context, words = error.ctx, [word for word in line if not word.startswith("-")]
    option: Any = getattr(error, "option_name", None)
    param: Any = getattr(error, "param", None)
    within = words[:1] if context is None else [context.info_name] * (context.parent is not None)
    command = " ".join(["hnscc", *within])
    match type(error).__name__:
        case "MissingParameter":
            return _no("The command lacks what it needs.", command, _meant(param), f"no {_name_of(param)}")
        case "NoSuchOption":
            known = [name for each in context.command.params for name in each.opts if name.startswith("--")]
            return _no("The option is unknown.", command, listed(error.possibilities or known, "or"), option)
        case "BadOptionUsage":
            return _no(f"{option} lacks its value.", command, f"{option} and a value", "the option alone")
        case "BadParameter":
            if "is not readable" in str(error):  # this message names the path
                found = "one that may not be read"
                return _no(f"{_name_of(param)} is not valid.", command, "a path that may be read", found)
            expected = next((kind for said, kind in _KINDS.items() if said in str(error)), str(error))
            return _no(f"{_name_of(param)} is not valid.", command, expected, _given(param.opts, line))
    if not within:
        names = sorted(context.command.commands)
        near = difflib.get_close_matches(words[0], names) or names
        return _no("The command is unknown.", command, listed(near, "or"), _shown(words[0]))
    takes = [each.name for each in context.command.params if each.param_type_name == "argument"]
    behind = [*line][line.index(context.info_name) + 1 :]
    _, left, _ = context.command.make_parser(context).parse_args(behind)  # without the values of options
    more = count_of(len(left), "argument")
    expected = ", ".join(takes) or "options alone"
    return _no("The command takes no more arguments.", command, expected, f"{more} more")


def _no(problem: str, where: str, expected: str, found: str) -> InputError:
    do = f"correct the command line; `{where} --help` lists what it takes"
    return InputError(problem, where=where, expected=expected, found=found, do=do)


def _name_of(param: Any) -> str:
    return str(param.opts[0] if param.param_type_name == "option" else param.name)


def _meant(param: Any) -> str:
    said = f": {param.help}" if param.help else ""
    return f"{_name_of(param)}{said.rstrip('.')}"


def _given(names: Sequence[str], line: Sequence[str]) -> str:
    """Return the value of an option that takes a number, as the command line gives it."""
    for at, word in enumerate(line):
        name, equals, value = word.partition("=")
        if name in names:
            return _shown(value if equals else "".join(line[at + 1 : at + 2]))
    return "another value"


def _shown(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else "another word"
