"""`hnscc query`: its formats, SQL that is refused, a narrow terminal."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import processes
import pyarrow.parquet as pq
import pytest
from commands import refused


def test_query_in_every_format(hnscc, finished):
    sql = "SELECT trial_id, status, test_dice FROM trials ORDER BY trial_id"
    expected = pq.read_table(
        finished / "tables/trials.parquet", columns=["trial_id", "status", "test_dice"]
    ).to_pylist()
    rows = json.loads(hnscc("query", finished, sql, "--format", "json")[1])
    assert sorted(rows, key=str) == sorted(expected, key=str)
    table = list(csv.DictReader(io.StringIO(hnscc("query", finished, sql, "--format", "csv")[1])))
    assert [row["trial_id"] for row in table] == [row["trial_id"] for row in rows]
    assert float(table[0]["test_dice"]) == rows[0]["test_dice"]
    assert rows[0]["trial_id"] in hnscc("query", finished, sql)[1]
    assert "yaml" in refused(hnscc("query", finished, sql, "--format", "yaml"))


def test_what_json_cannot_hold_is_null_there_and_the_help_says_so(hnscc, finished):
    sql = "SELECT 'inf'::DOUBLE AS a, 'nan'::DOUBLE AS b, 0.5 AS c"
    told = json.loads(hnscc("query", finished, sql, "--format", "json")[1])
    assert told == [{"a": None, "b": None, "c": 0.5}]
    assert hnscc("query", finished, sql, "--format", "csv")[1] == "a,b,c\ninf,nan,0.5\n"
    assert "NaN and infinity are null" in " ".join(hnscc("query", "--help")[1].replace("│", " ").split())


@pytest.mark.parametrize(
    ("sql", "form"),
    [("SELECT INTERVAL 1 DAY AS a", "parquet"), ("SELECT union_value(k := 1) AS a", "parquet")]
    + [("SELECT DATE 'infinity' AS a", form) for form in ("table", "csv", "json")],
)
def test_values_that_a_format_cannot_hold_are_told(hnscc, finished, sql, form):
    """Each was a traceback."""
    told = refused(hnscc("query", finished, sql, "--format", form))
    assert "The query gives values that this format cannot hold." in told and "a: " in told


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM trials", ""])
def test_bad_sql_is_refused(hnscc, finished, sql):
    refused(hnscc("query", finished, sql))


def test_sql_reaches_nothing_but_the_tables(hnscc, finished, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    refused(hnscc("query", finished, f"SELECT * FROM read_csv('{secret}')"))
    refused(hnscc("query", finished, f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'"))
    assert not (tmp_path / "out.csv").exists()


def test_query_on_a_narrow_terminal_shows_one_value_per_line(finished):
    """A real terminal, of 28 characters and of 29: 7 + 5 + 7 characters in 3 columns, 3 for each, and 1."""
    sql = "SELECT variant, split, repeats FROM pooled WHERE split = 'test' ORDER BY variant"
    narrow, wide = (on_a_terminal(width, "query", finished, sql) for width in (28, 29))
    expected = pq.read_table(finished / "tables/pooled.parquet").to_pylist()
    repeats = next(each["repeats"] for each in expected if each["split"] == "test")
    assert narrow[:4] == ["-- row 1 of 2", "variant  pet", "split    test", f"repeats  {repeats}"]
    assert wide[1].count("┃") == 4 and wide[3].count("│") == 4


def on_a_terminal(width: int, *arguments) -> list[str]:
    """What the command prints on a terminal so wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [sys.executable, "-m", "hnscc.commands.cli", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=environment, cwd=processes.ROOT
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so at a terminal's end
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    assert process.wait(timeout=60) == 0, process.stderr.read()
    process.stderr.close()
    return shown.decode().replace("\r\n", "\n").splitlines()
