"""Makes the pages of docs/reference/ from the program itself: on functions, commands, tables and settings. `make docs`
writes all of them.

tests/test_docs.py fails where one of them is not current.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import pyarrow as pa
from numpy.typing import ArrayLike
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

import hnscc
from hnscc.aggregation.column_types import REAL, TEXT, WHOLE, YES
from hnscc.aggregation.schemas import TABLES, schema
from hnscc.base.files import write_text
from hnscc.commands.cli import app
from hnscc.scores.metrics import METRICS, Metric
from hnscc.study.settings_page import to_markdown as settings_page

TYPES = {TEXT: "text", WHOLE: "whole number", REAL: "real number", YES: "yes or no"}
INTRODUCTION = """
A run folder holds its tables as Parquet files, `tables/NAME.parquet`, and what is said of columns here travels in them
as metadata. `hnscc query RUN "SQL"` asks them by SQL; `pandas.read_parquet` opens them. A value that does not exist is
null, and the column `reason` of its row, where the table has one, says why. Rows stand in a fixed order, and two runs
of one study give the same values but for `seconds`. 'The paper' is the one that the protocol comes from.
""".strip()
WIDTH = 100  # the most characters in a line of a signature on the page of Python functions
# A page of docs/ that a docstring names becomes a link.
PAGE, LINK = re.compile(r"\bdocs/([\w-]+/[\w-]+\.md)"), r"[docs/\1](../\1)"
PYTHON_HEAD = """# Python

<!-- Generated from the docstrings of hnscc/commands/*_api.py by `make docs`; do not edit by hand. -->

`import hnscc` offers what the [commands](commands.md) do, as functions: the same code does it. Six more
take arrays of patients by repeats, or what these gave, and need no run folder.

```python
import hnscc

if __name__ == "__main__":  # phantom and prepare start processes
    hnscc.prepare("manifest.csv", "data/cohort.zarr", pixel_mm=1.7)
    hnscc.run("mine.yaml")
    pooled = hnscc.tables("runs/mine")["pooled"]  # a pyarrow.Table; .to_pandas() makes a pandas one
```

`import hnscc` itself loads neither PyTorch nor Ray: each function loads what it needs when it is called. Two errors are
meant for people and hold their whole message: `hnscc.base.errors.InputError`, for what was given wrong (where,
expected, found, what to do), and `hnscc.base.errors.StorageError`, where a disk or S3 gave way. Every location may be
an `s3://` URL unless its function says otherwise."""
EXAMPLE = "Example:"
COMMANDS_HEAD = """# Commands

<!-- Generated from the commands' own help by `make docs`; do not edit by hand. -->

Every command prints its part of this page with `--help`. Exit codes: 0 where all is well, 1 where a trial failed or a
storage gave way, 2 for bad input, 130 after Ctrl-C. The same functions are there in [Python](python.md).
"""


def tables_page() -> str:
    """Return the whole page: every table with what a row is, and its columns with type and meaning; then
    the metrics."""
    sections = [
        "# Tables",
        "<!-- Generated from the schemas by `make docs`; do not edit by hand. -->",
        INTRODUCTION,
        _contents(),
    ]
    sections += [part for name in TABLES for part in _table(name)]
    return "\n\n".join([*sections, *_metrics()]) + "\n"


def _contents() -> str:
    return "\n".join(f"- [{name}](#{name}): one row per {table.row}" for name, table in TABLES.items())


def _table(name: str) -> Iterator[str]:
    yield f"## {name}"
    yield f"One row per {TABLES[name].row}."
    yield _rows(("column", "type", "meaning"), (_column(field) for field in schema(name)))


def _column(field: pa.Field) -> tuple[str, ...]:
    return f"`{field.name}`", TYPES[field.type], field.metadata[b"description"].decode()


def _metrics() -> Iterator[str]:
    yield "## Metrics"
    yield "What a trial is scored by; each metric has the columns above that bear its name."
    heads = ("metric", "name", "measured in", "range", "better", "value of empty masks")
    yield _rows(heads, map(_metric, METRICS.values()))


def _metric(metric: Metric) -> tuple[str, ...]:
    lowest, highest = metric.range
    better = "higher" if metric.higher_is_better else "lower"
    range_ = f"{lowest:g} to {highest:g}"
    return f"`{metric.name}`", metric.label, metric.measured_in or "none", range_, better, metric.when_empty


def _rows(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def python_page() -> str:
    """Return the page as Markdown: an overview of the functions, then the signature and the docstring of each."""
    functions = [(name, getattr(hnscc, name)) for name in hnscc.__all__]
    rows = [f"| [`{name}`](#hnscc{name}) | {summary_of(function)} |" for name, function in functions]
    overview = "\n".join(["| function | what it does |", "|---|---|", *rows])
    return "\n\n".join([PYTHON_HEAD, overview, *(_of_function(*each) for each in functions)]) + "\n"


def _of_function(name: str, function: Callable[..., Any]) -> str:
    called = "\n".join(_signature(name, inspect.signature(function)))
    return f"## hnscc.{name}\n\n```python\n{called}\n```\n\n{PAGE.sub(LINK, docstring_of(function))}"


def _signature(name: str, signature: inspect.Signature) -> Iterator[str]:
    """Yield a signature: on one line where it fits, else with a line for each parameter, as code does."""
    parameters = list(_parameters(signature))
    given = type_of(signature.return_annotation)
    whole = f"hnscc.{name}({', '.join(parameters)}) -> {given}"
    if len(whole) <= WIDTH:
        yield whole
        return
    yield f"hnscc.{name}("
    yield from (f"    {each}," for each in parameters)
    yield f") -> {given}"


def type_of(annotation: Any) -> str:
    """Return a type as code writes it, where NumPy would spell out everything that its ArrayLike may hold."""
    written = inspect.formatannotation(annotation) if isinstance(annotation, type) else str(annotation)
    return written.replace(str(ArrayLike), "ArrayLike")


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """Yield each parameter with its type and default, and the star before those that are given by name only."""
    starred = False
    for each in signature.parameters.values():
        if each.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield f"{each.name}: {type_of(each.annotation)}" + (
            "" if each.default is each.empty else f" = {each.default!r}"
        )


KINDS = {str: "text", Path: "path", int: "whole number", float: "number"}


def commands_page() -> str:
    """Return the page as Markdown: an overview of the commands, then for each its description, example, arguments
    and options."""
    commands = list(_commands())
    rows = [f"| [`{name}`](#hnscc-{name}) | {summary_of(function)} |" for name, function, _ in commands]
    overview = "\n".join(["| command | what it does |", "|---|---|", *rows])
    return "\n".join([COMMANDS_HEAD, overview, *(_of_command(*each) for each in commands)])


def _commands() -> Iterator[tuple[str, Any, list[TyperArgument | TyperOption]]]:
    """Yield name, function and parameters of each command, in the order of the help."""
    group = get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        function = next(
            each.callback for each in app.registered_commands if name == _name_of(each.callback, each.name)
        )
        yield name, function, command.params


def _name_of(function: Any, name: str | None) -> str:
    return name or function.__name__.replace("_", "-")


def summary_of(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring, on one line, as a cell of an overview."""
    return " ".join(docstring_of(function).partition("\n\n")[0].split()).replace("|", "\\|")


def docstring_of(function: Callable[..., Any]) -> str:
    """Return a docstring without its indentation."""
    return inspect.cleandoc(function.__doc__ or "")


def _of_command(name: str, function: Any, parameters: list[TyperArgument | TyperOption]) -> str:
    description, _, example = docstring_of(function).partition(EXAMPLE)
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
    """Return text for a cell: Markdown takes `<name>` for HTML, and a bar for the end of the cell."""
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
    """Return the kind of value, and the default where there is one."""
    kind = types[parameter.name or ""]
    inner = [each for one in get_args(kind) for each in (one, *get_args(one))]  # of `list[str] | None` too
    kinds = [KINDS[each] for each in (kind, *inner) if each in KINDS]
    if not kinds:
        return "flag"
    default = parameter.default
    return kinds[0] if default is None or parameter.required else f"{kinds[0]}; default `{default}`"


# Each page, by its path from the root of the repository, and the function that writes its text.
PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/settings.md": settings_page,
    "docs/reference/tables.md": tables_page,
    "docs/reference/commands.md": commands_page,
    "docs/reference/python.md": python_page,
}


def main() -> None:
    """Write every page below the current folder, which must be the root of the repository."""
    for page, text in PAGES.items():
        write_text(Path(page), text())
        sys.stdout.write(f"wrote {page}\n")


if __name__ == "__main__":
    main()
