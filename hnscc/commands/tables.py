"""The tables of a run folder as a mapping, with a description of each: `hnscc tables`, `hnscc.tables`."""

from collections.abc import Iterator, Mapping
from typing import TypedDict

import pyarrow as pa

from hnscc.aggregation.query import names_of_tables, read_table, written_schema
from hnscc.aggregation.schemas import TABLES, schema
from hnscc.base.errors import InputError
from hnscc.base.in_words import as_typed
from hnscc.study.run_folder import RunFolder


class ColumnFacts(TypedDict):
    """A column: its name, the name of its Arrow type (`double`), and what it means."""

    column: str
    type: str
    meaning: str


class TableFacts(TypedDict):
    """A table: its name, what one row is, the number of rows (None where it is not written yet), and its columns."""

    table: str
    one_row_per: str
    rows: int | None
    columns: list[ColumnFacts]


class Tables(Mapping[str, pa.Table]):
    """The tables of one run folder by name, in a fixed order; each is read from its file when it is asked for.

    It has all tables of a study, or of a search, whether they are written yet or not. `tables["pooled"]` is a
    pyarrow.Table whose fields have their meaning as metadata. InputError for an unknown name, and for a table that is
    not written yet or is damaged.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._names = names_of_tables(folder)

    def __getitem__(self, name: str) -> pa.Table:
        return read_table(self._folder, self._known(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __repr__(self) -> str:
        return f"<tables of {self._folder.root}: {', '.join(self._names)}>"

    def facts(self, name: str) -> TableFacts:
        """Return the description of one table, without reading its rows. InputError as for the table itself, but a
        table that is not written yet is described too."""
        written = written_schema(self._folder, self._known(name))
        fields, rows = written or (schema(name), None)
        columns = [
            ColumnFacts(column=field.name, type=str(field.type), meaning=_meaning(field)) for field in fields
        ]
        return TableFacts(table=name, one_row_per=TABLES[name].row, rows=rows, columns=columns)

    def _known(self, name: str) -> str:
        if name not in self._names:
            raise InputError(
                "The run folder has no such table.",
                where=f"tables of {self._folder.root}",
                expected=", ".join(self._names),
                found=str(name),
                do="name one of these tables; "
                f"`hnscc tables {as_typed(self._folder.root)}` says what they hold",
            )
        return name


def _meaning(field: pa.Field) -> str:
    """Return the meaning of a column by the file's schema. For a setting that a search varied, this is only its path in
    the study file."""
    described = (field.metadata or {}).get(b"description")
    return described.decode() if described else "setting of the study file that the search varied"
