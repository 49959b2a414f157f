"""What the commands print for people: a store, how far a study is, the tables of a run folder, predictions.

Each function takes what was found, and where to print it; it reads and computes nothing. Modules that are needed for
types alone are not imported at run time: `hnscc status` needs no torch, SciPy or DuckDB to print.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hnscc.base.console import Console, print_line, print_rows
from hnscc.base.in_words import as_typed, count_of, noun_of
from hnscc.commands.status import STATES, Status

if TYPE_CHECKING:
    from hnscc.commands.tables import TableFacts


def print_store(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print how many patients, scans and slices a store holds, in two sentences or as JSON. facts: of `store_facts`."""
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    print(
        f"{facts['store']}: {count_of(facts['patients'], 'patient')}, "
        f"{count_of(facts['scans'], 'scan')} ({facts['scans_with_lesion']} with lesion), "
        f"{count_of(facts['slices'], 'slice')} ({facts['positive_slices']} with lesion), "
        f"{', '.join(facts['modalities'])}, {facts['size']} x {facts['size']} pixels, digest {facts['digest'][:12]}"
    )
    if lost := facts["lesion_lost_in_resize"]:
        its, it_is = noun_of(lost, "its", "their"), noun_of(lost, "it is", "they are")
        print(f"{count_of(lost, 'slice')} lost {its} few lesion pixels in the resize; {it_is} not sampled")


def print_status(found: Status, console: Console, run: str) -> None:
    """Print how many trials are in each state, which run now, and which failed. run: as the user typed it."""
    rows = [[name, *map(str, counts.values())] for name, counts in found["variants"].items()]
    print_rows(console, ["variant", *STATES], rows, numbers=STATES)
    for each in found["started"]:
        line = f"{each['trial']:<26} epoch {each['epoch']} of at most {each['of']}, {each['heard']:.0f} s ago"
        again = f", {count_of(each['interruptions'], 'interruption')}" if each["interruptions"] else ""
        print_line(console, line + again)
    for failed in found["failed"]:
        print_line(console, f"{failed['trial']:<26} failed: {failed['failure']}")
    for remark in found["remarks"]:
        print_line(console, f"{remark['trial']:<26} {remark['remark']}")
    for line in found["left_out"]:
        print_line(console, f"left out: {line}")
    if found["tables"]:
        print_line(console, f"tables: hnscc tables {as_typed(run)}")


def print_tables(tables: Sequence[TableFacts], console: Console, run: str) -> None:
    """Print every table with its columns, then every column with its meaning. run: as the user typed it."""
    rows = [
        [
            each["table"],
            each["one_row_per"],
            _rows(each),
            ", ".join(column["column"] for column in each["columns"]),
        ]
        for each in tables
    ]
    print_rows(console, ["table", "one row per", "rows", "columns"], rows, numbers=["rows"])
    meanings = dict.fromkeys(
        (column["column"], column["type"], column["meaning"]) for each in tables for column in each["columns"]
    )
    print_rows(console, ["column", "type", "meaning"], list(meanings))
    print_line(console, f"one table:  hnscc tables {as_typed(run)} {tables[0]['table']}")
    print_line(console, f'its rows:   hnscc query {as_typed(run)} "SELECT * FROM {tables[0]["table"]}"')


def print_table_facts(table: TableFacts, console: Console, run: str) -> None:
    """Print what one table holds, column by column. run: as the user typed it."""
    print_line(console, f"{table['table']}: one row per {table['one_row_per']}; rows: {_rows(table)}")
    rows = [[each["column"], each["type"], each["meaning"]] for each in table["columns"]]
    print_rows(console, ["column", "type", "meaning"], rows)
    print_line(console, f'its rows:  hnscc query {as_typed(run)} "SELECT * FROM {table["table"]}"')


def _rows(table: TableFacts) -> str:
    return "not written" if table["rows"] is None else f"{table['rows']:,}"


def print_predictions(facts: Mapping[str, Any], console: Console) -> None:
    """Print which models predicted, a row for each scan, and what to know of some of them, or of all."""
    trials = (
        ", ".join(facts["trials"]) if len(facts["trials"]) < 6 else count_of(len(facts["trials"]), "model")
    )
    print_line(
        console,
        f"study {facts['study']}, variant {facts['variant']}: {trials}; threshold {facts['threshold']:g}",
    )
    scored = any(scan["dice"] is not None for scan in facts["scans"])
    print_rows(
        console,
        ["scan", "lesions", "size (ml)", *(["Dice"] if scored else []), "told"],
        [_prediction(scan, scored) for scan in facts["scans"]],
        numbers=["lesions", "size (ml)", "Dice"],
    )
    for scan in facts["scans"]:
        for line in scan["told"]:
            print_line(console, f"{scan['scan_id']}: {line}", style="yellow")
    for line in facts["told"]:
        print_line(console, line, style="yellow")


def _prediction(scan: Mapping[str, Any], scored: bool) -> list[str]:
    dice = ["" if scan["dice"] is None else f"{scan['dice']:.3f}"] if scored else []
    told = f"{len(scan['told'])}, below" if scan["told"] else "nothing"
    return [scan["scan_id"], str(scan["lesions"]), f"{scan['volume_ml']:.2f}", *dice, told]
