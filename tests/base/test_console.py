"""What a terminal shows: when a table is readable, one value per line where it is not, text as it is."""

import ast
from pathlib import Path

import pytest
from rich.console import Console
from trees import nodes_of

from hnscc.base.console import (
    counted,
    print_line,
    print_records,
    print_rows,
    terminal,
    too_narrow,
    with_interval,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("width", "cells", "narrow"),
    [
        (14, [6, 1], False),  # 6 + 3, 1 + 3, and 1
        (13, [6, 1], True),
        (80, [6] * 8, False),  # 8 * 9 + 1 = 73
        (72, [6] * 8, True),
        (73, [6] * 8, False),
        (43, [500], True),  # a long cell counts 40: 40 + 3 + 1 = 44
        (44, [500], False),
        (120, [10, 500, 500], False),  # 13 + 43 + 43 + 1 = 100
        (99, [10, 500, 500], True),
        (1, [], False),
    ],
)
def test_a_table_is_readable_where_every_column_has_its_width(width, cells, narrow):
    columns = [chr(ord("a") + i) for i in range(len(cells))]
    assert too_narrow(width, columns, [["x" * n for n in cells]]) is narrow


def test_headers_count_too():
    assert too_narrow(23, ["twenty_characters_20", "b"], [["1", "2"]]) is True
    assert too_narrow(28, ["twenty_characters_20", "b"], []) is False


@pytest.mark.parametrize("width", [44, 60, 100, 101, 200])
def test_a_table_called_readable_is_printed_with_no_short_cell_folded(width):
    """The rule against what rich does: on the width that is enough, cells of up to 40 characters stay whole."""
    columns, row = ["first", "second", "third"], ["a" * 12, "b" * 40, " ".join(["long"] * 60)]
    console = Console(record=True, width=width)
    print_rows(console, columns, [row])
    text = console.export_text()
    whole = "a" * 12 in text and "b" * 40 in text
    assert whole or too_narrow(width, columns, [row])
    if not too_narrow(width, columns, [row]):
        assert text.count("long") == 60


def test_records_have_a_line_for_each_value():
    console = Console(record=True, width=20)
    print_records(console, ["variant", "dice"], [["pet", "0.7"], ["a name longer than the terminal", ""]])
    assert console.export_text().splitlines() == [
        "-- row 1 of 2",
        "variant  pet",
        "dice     0.7",
        "-- row 2 of 2",
        "variant  a name longer than the terminal",
        "dice",
    ]
    print_records(console, ["variant"], [])
    assert console.export_text().strip() == "no rows of variant"


def test_what_looks_like_markup_is_printed_as_it_is():
    console = Console(record=True, width=80)
    print_line(console, "runs/[red]/x 12")
    print_rows(console, ["[bold]"], [["[/] [green]1"]], title="[i]")
    text = console.export_text()
    for each in ("runs/[red]/x 12", "[bold]", "[/] [green]1", "[i]"):
        assert each in text


def test_elsewhere_than_on_a_terminal_the_width_is_given_and_no_bar_is_shown(capsys):
    assert terminal(77).width == 77
    with counted("scans", terminal()) as tell:
        tell(1, 2, "p01")
    assert capsys.readouterr().out.strip() == ""


def test_intervals():
    assert with_interval(0.7126, 0.6, 0.75) == "0.713 (0.600 to 0.750)"
    assert with_interval(0.5, None, 0.75) == "0.500"
    assert with_interval(None, None, None) == "–"


def test_nothing_else_imports_rich():
    found = {
        str(path.relative_to(ROOT))
        for package in ("hnscc", "rayjobs", "data_prep")
        for path in (ROOT / package).rglob("*.py")
        for node in nodes_of(path.read_text())
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] == "rich"
    }
    assert found == {"hnscc/base/console.py"}
