"""docs/reference/commands.md, written from the commands themselves: `make docs`."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from hnscc.commands.cli import app

EXAMPLE = "Example:"
KINDS = {str: "text", Path: "path", int: "whole number", float: "number"}

HEAD = """# Commands

<!-- Generated from the commands' own help by `make docs`; do not edit by hand. -->

Every command prints its part of this page with `--help`. Exit codes: 0 where all is well, 1 where a trial failed or a
storage gave way, 2 for bad input, 130 after Ctrl-C. The same functions are there in [Python](python.md).
"""


def commands_page() -> str:
    """The page as Markdown: a table of the commands, then for each what it does, its example, arguments and options."""
    commands = list(_commands())
    rows = [f"| [`{name}`](#hnscc-{name}) | {summary_of(function)} |" for name, function, _ in commands]
    table = "\n".join(["| command | what it does |", "|---|---|", *rows])
    return "\n".join([HEAD, table, *(_section(*each) for each in commands)])


def _commands() -> Iterator[tuple[str, Any, list[TyperArgument | TyperOption]]]:
    """Name, function and parameters of each command, in the order of the help."""
    group = get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        function = next(
            each.callback for each in app.registered_commands if name == _name_of(each.callback, each.name)
        )
        yield name, function, command.params


def _name_of(function: Any, name: str | None) -> str:
    return name or function.__name__.replace("_", "-")


def summary_of(function: Callable[..., Any]) -> str:
    """The first paragraph of a docstring, on one line, as a cell of a table."""
    return " ".join(text_of(function).partition("\n\n")[0].split()).replace("|", "\\|")


def text_of(function: Callable[..., Any]) -> str:
    """A docstring without its indentation."""
    return inspect.cleandoc(function.__doc__ or "")


def _section(name: str, function: Any, parameters: list[TyperArgument | TyperOption]) -> str:
    description, _, example = text_of(function).partition(EXAMPLE)
    arguments = [each for each in parameters if isinstance(each, TyperArgument)]
    options = [each for each in parameters if not isinstance(each, TyperArgument)]
    needed = [f"{each.opts[0]} {_upper(each)}" for each in options if each.required]
    shape = [*map(_argument, arguments), *needed, *(["[OPTIONS]"] if len(options) > len(needed) else [])]
    types = get_type_hints(function)
    rows = [f"| {_names(each)} | {_kind(each, types)} | {_cell(each.help or '')} |" for each in parameters]
    return "\n".join(
        [
            f"\n## hnscc {name}\n",
            f"    hnscc {name} {' '.join(shape)}\n",
            f"{description.strip()}\n",
            f"{EXAMPLE}\n\n    {example.strip()}\n",
            "| argument or option | value | meaning |\n|---|---|---|",
            *rows,
        ]
    )


def _cell(text: str) -> str:
    """Markdown takes `<name>` for HTML, and a bar for the end of the cell."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def _argument(argument: TyperArgument) -> str:
    name = _upper(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _upper(argument: TyperArgument | TyperOption) -> str:
    return (argument.name or "").upper()


def _names(parameter: TyperArgument | TyperOption) -> str:
    if isinstance(parameter, TyperArgument):
        return f"`{_upper(parameter)}`"
    return ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))


def _kind(parameter: TyperArgument | TyperOption, types: dict[str, Any]) -> str:
    """The kind of value, and the default where there is one."""
    kind = types[parameter.name or ""]
    kinds = [KINDS[each] for each in (kind, *get_args(kind)) if each in KINDS]
    if not kinds:
        return "flag"
    default = parameter.default
    return kinds[0] if default is None or parameter.required else f"{kinds[0]}; default `{default}`"
