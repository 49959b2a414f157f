"""docs/reference/python.md, written from the functions that `import hnscc` offers: their signatures and docstrings."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import hnscc
from hnscc.commands.commands_page import summary_of, text_of

WIDTH = 100
HEAD = """# Python

<!-- Generated from the docstrings of hnscc/commands/*_api.py by `make docs`; do not edit by hand. -->

`import hnscc` offers what the [commands](commands.md) do, as functions; the commands call these, so both do the
same. Six more take arrays of patients by repeats, or what these gave, and need no run folder.

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


def python_page() -> str:
    """The page as Markdown: a table of the functions, then the signature and the docstring of each."""
    functions = [(name, getattr(hnscc, name)) for name in hnscc.__all__]
    rows = [f"| [`{name}`](#hnscc{name}) | {summary_of(function)} |" for name, function in functions]
    table = "\n".join(["| function | what it does |", "|---|---|", *rows])
    return "\n\n".join([HEAD, table, *(_section(*each) for each in functions)]) + "\n"


def _section(name: str, function: Callable[..., Any]) -> str:
    called = "\n".join(_signature(name, inspect.signature(function)))
    return f"## hnscc.{name}\n\n```python\n{called}\n```\n\n{text_of(function)}"


def _signature(name: str, signature: inspect.Signature) -> Iterator[str]:
    """On one line where it fits, else with a line for each parameter, as the code itself has it."""
    parameters = list(_parameters(signature))
    whole = f"hnscc.{name}({', '.join(parameters)}) -> {signature.return_annotation}"
    if len(whole) <= WIDTH:
        yield whole
        return
    yield f"hnscc.{name}("
    yield from (f"    {each}," for each in parameters)
    yield f") -> {signature.return_annotation}"


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """Each parameter with its type and default; the star before those that are given by name alone."""
    starred = False
    for each in signature.parameters.values():
        if each.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield f"{each.name}: {each.annotation}" + (
            "" if each.default is each.empty else f" = {each.default!r}"
        )
