"""`hnscc settings`: what a study file may hold."""

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hnscc.base.errors import InputError
from hnscc.commands.options import AsJson

if TYPE_CHECKING:
    from hnscc.study.settings_page import SettingRow


def settings(
    key: Annotated[
        str | None, typer.Argument(help="A setting or a section, such as training.epochs; all unless given.")
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole of docs/reference/settings.md.")
    ] = False,
) -> None:
    """Print what a study file may hold. Of every setting: type, choices, the default of both presets, meaning, source.

    Example: hnscc settings training.network
    """
    from hnscc.study.settings_page import all_settings, as_objects, settings_below, to_markdown

    if markdown:
        print(to_markdown(), end="")
        return
    rows = settings_below(key) if key else all_settings()
    if not rows:
        raise _unknown(key or "")
    if as_json:
        print(json.dumps(as_objects(rows), indent=1))
    else:
        print("\n".join(line for row in rows for line in _lines(row)))


def _lines(row: "SettingRow") -> Iterator[str]:
    """Write a setting on three lines or more: its path and type, its defaults, what it means."""
    from hnscc.study.settings_page import defaults_of

    yield f"{row.path}: {row.type}"
    if defaults := defaults_of(row):
        yield f"    default: {defaults}"
    yield from textwrap.wrap(
        f"{row.meaning} ({row.source})", 100, initial_indent="    ", subsequent_indent="    "
    )


def _unknown(key: str) -> InputError:
    from hnscc.study.settings_page import names_in, nearest

    close = nearest(key)
    return InputError(
        "There is no such setting.",
        where="hnscc settings",
        expected=f"{' or '.join(close)}?"
        if close
        else f"one of {', '.join(names_in(''))}, or what these hold",
        found=key,
        do=f"hnscc settings {close[0]}" if close else "`hnscc settings` prints all of them",
    )
