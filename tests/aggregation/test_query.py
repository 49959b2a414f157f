"""What `hnscc query` prints: rows that match their header, and numbers that a program can read."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from run_folders import random_run, small_study

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import note_of_older_tables, query, read_table, written_schema
from hnscc.base.errors import InputError, StorageError
from hnscc.commands.cli import query as ask
from hnscc.study.run_folder import RunFolder

SELF_JOIN = """SELECT a.variant, b.variant, a.dice FROM pooled a JOIN pooled b
    ON a.split = 'test' AND b.split = 'test' AND a.variant < b.variant"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    run = random_run(tmp_path_factory.mktemp("query"), small_study(repeats=1))
    write_tables(run)
    return run


@pytest.fixture
def printed(run, capsys):
    def ask_and_read(sql: str, form: str) -> str:
        ask(run.root, sql, form)
        return capsys.readouterr().out

    return ask_and_read


def test_columns_of_one_name_are_all_there(printed):
    head, (*row,) = csv.reader(io.StringIO(printed(SELF_JOIN, "csv")))
    assert len(head) == 3 and row[:2] == ["pet", "pet_mri"] and float(row[2]) > 0
    shown = printed(SELF_JOIN, "table").splitlines()
    assert [cell.strip() for cell in shown[3].split("│")[1:3]] == ["pet", "pet_mri"]
    assert shown[1].count("┃") == shown[3].count("│")


def test_json_refuses_columns_of_one_name(printed):
    with pytest.raises(InputError, match="rename with AS") as caught:
        printed(SELF_JOIN, "json")
    assert "variant" in caught.value.found
    renamed = SELF_JOIN.replace("b.variant,", "b.variant AS other,", 1)
    (row,) = json.loads(printed(renamed, "json"))
    assert (row["variant"], row["other"]) == ("pet", "pet_mri")


def test_sums_are_whole_numbers(run, printed):
    sql = "SELECT sum(pred_px) AS n, sum(pred_px) FILTER (false) AS none FROM slices"
    expected = sum(row["pred_px"] for row in read_table(run, "slices").to_pylist())
    assert json.loads(printed(sql, "json")) == [{"n": expected, "none": None}]
    assert [str(field.type) for field in query(run, sql).schema] == ["int64", "int64"]
    most = "SELECT {}9223372036854775807::HUGEINT AS most, {}9223372036854775808::HUGEINT AS more"
    for sign, fitting in (("", [True, False]), ("-", [True, True])):  # int64 ends at 2^63 - 1 and at -2^63
        schema = query(run, most.format(sign, sign)).schema
        assert [str(field.type) == "int64" for field in schema] == fitting
    beyond = query(run, "SELECT -9223372036854775809::HUGEINT AS less")
    assert str(beyond.schema.field("less").type) != "int64"
    huge = "SELECT 170141183460469231731687303715884105727::HUGEINT AS n, 0.25::DECIMAL(4, 2) AS part"
    assert json.loads(printed(huge, "json"))[0]["part"] == 0.25


def test_what_is_no_number_is_null_in_json(printed):
    sql = "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, ['-inf'::DOUBLE, 1] AS c, {'x': 'nan'::DOUBLE} AS d"
    assert json.loads(printed(sql, "json")) == [{"a": None, "b": None, "c": [None, 1.0], "d": {"x": None}}]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT 1; SELECT 2", "2 statements: SELECT, SELECT"),
        ("CREATE TABLE x AS SELECT 1", "1 statement: CREATE"),
        ("SELECT 1; DROP VIEW pooled", "2 statements: SELECT, DROP"),
        ("-- nothing", "no statement"),
    ],
)
def test_what_is_not_one_question_is_refused(run, sql, found):
    """Of two, the last was answered alone, without a word; and CREATE TABLE said `Count 1`."""
    with pytest.raises(InputError, match="cannot be answered") as refused:
        query(run, sql)
    assert refused.value.found.startswith(found) and refused.value.expected.startswith("one SELECT")


def test_every_way_to_ask_is_answered(run):
    for sql in (
        "FROM pooled;",
        "DESCRIBE pooled",
        "SHOW TABLES",
        "WITH a AS (SELECT 1 AS b) SELECT b FROM a",
    ):
        assert query(run, sql).num_rows > 0
    assert query(run, "EXPLAIN SELECT 1").num_rows > 0
    assert query(run, "PIVOT pooled ON split USING max(dice) GROUP BY variant").num_rows > 0


def test_a_query_without_rows_has_its_header(printed):
    assert printed("SELECT variant, dice FROM pooled WHERE false", "csv") == "variant,dice\n"
    assert json.loads(printed("SELECT variant FROM pooled WHERE false", "json")) == []


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("split = test", "'test' instead of test"),
        ('split = "test"', "'test' instead of \"test\""),
        ("split <> train AND dice > 0", "'train' instead of train"),
        ("split IN ('train', test)", "'test' instead of test"),
        ("variant LIKE pet_mri", "'pet_mri' instead of pet_mri"),
        ("split NOT ILIKE validation.x", "'validation.x' instead of validation.x"),  # a table, says DuckDB
    ],
)
def test_text_without_single_quotes_is_told_as_that(run, wrong, right):
    """DuckDB takes it for a column and guesses which. What the message says instead is an answer."""
    sql = f"SELECT variant, dice FROM pooled WHERE {wrong}"
    with pytest.raises(InputError, match="cannot be answered") as caught:
        query(run, sql)
    assert "single quotes" in caught.value.do and right in caught.value.do
    quoted, _, bare = right.partition(" instead of ")
    assert query(run, quoted.join(sql.rsplit(bare, 1))).num_rows > 0


def test_a_text_with_dashes_is_quoted_whole(run):
    with pytest.raises(InputError) as caught:
        query(run, "SELECT * FROM trials WHERE trial_id = pet-f0-r00")
    assert "'pet-f0-r00' instead of pet-f0-r00" in caught.value.do


@pytest.mark.parametrize(
    "sql", ["SELECT variant, dise FROM pooled", "SELECT dice FROM pooled WHERE splt = 'test'"]
)
def test_a_misspelt_column_is_still_told_as_a_column(run, sql):
    with pytest.raises(InputError) as caught:
        query(run, sql)
    assert "DESCRIBE pooled" in caught.value.do and "quotes" not in caught.value.do


@pytest.fixture
def own(run, tmp_path) -> RunFolder:
    return RunFolder(shutil.copytree(run.root, tmp_path / "run"))


READERS = {
    "a table": lambda run: read_table(run, "trials"),
    "a query that reads it": lambda run: query(run, "SELECT * FROM trials"),
    "a query that fails": lambda run: query(run, "SELECT nothing FROM pooled"),
    "its columns": lambda run: written_schema(run, "trials"),
    "what ended since": lambda run: note_of_older_tables(run, "run"),
}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    "reader", [name for name in READERS if name not in ("a query that reads it", "its columns")]
)
def test_a_disk_that_does_not_answer_is_no_damaged_table(own, reader, monkeypatch):
    """It was told as one, with the advice to write tables again that may be whole; who asked which trials ended since
    was told none. Of /proc/self/mem no first byte can be read: EIO, as of a disk that is gone."""
    opened = ds.dataset(own.table("trials"))
    monkeypatch.setattr(ds, "dataset", lambda *_: opened)  # before the disk went away, as in a long query
    own.table("trials").unlink()
    own.table("trials").symlink_to("/proc/self/mem")
    with pytest.raises(StorageError, match="does not answer"):
        READERS[reader](own)


@pytest.mark.parametrize("reader", READERS)
def test_a_table_that_is_cut_short_is_a_damaged_one(own, reader):
    content = own.table("trials").read_bytes()
    own.table("trials").write_bytes(content[: len(content) // 2])
    if reader == "what ended since":  # whoever reads the table says it
        assert READERS[reader](own) is None
        return
    with pytest.raises(InputError, match="A table cannot be read") as refused:
        READERS[reader](own)
    assert "hnscc aggregate" in refused.value.do


def test_a_table_that_may_not_be_read_is_no_damaged_one(run):
    """It was told as one that is not whole. Root may read any: so asked as another user."""
    with tempfile.TemporaryDirectory() as name:  # that other user may not enter pytest's own
        theirs = RunFolder(shutil.copytree(run.root, Path(name, "run")))
        for folder in (Path(name), theirs.root):
            folder.chmod(0o755)
        theirs.table("pooled").chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(InputError, match=r"A file may not be read(.*\n)+.*Permission denied"):
                read_table(theirs, "pooled")
        finally:
            os.seteuid(os.getuid())


THREADS = """
import os, sys
from pathlib import Path
from hnscc.aggregation.query import read_table
from hnscc.study.run_folder import RunFolder
before = len(os.listdir("/proc/self/task"))
read_table(RunFolder(Path(sys.argv[1])), "trials")
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_table_is_read_by_no_other_thread_which_could_abort_the_command_at_its_end(run):
    """`hnscc predict` ended with exit code 134 and "terminate called without an active exception"."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS, run.root], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_a_table_that_a_search_does_not_have_is_not_asked_of_aggregate(own):
    """`hnscc prune`, `predict` and `export` advised `hnscc aggregate`, which writes no such table of a search."""
    own.search.write_text("{}")
    own.table("pooled").unlink()
    with pytest.raises(InputError, match="A search has no such table") as refused:
        read_table(own, "pooled")
    assert str(own.winners) not in refused.value.do and "hnscc search" in refused.value.do  # no such file yet
    own.winners.write_text("")
    with pytest.raises(InputError, match="A search has no such table") as refused:
        read_table(own, "pooled")
    assert str(own.winners) in refused.value.do
    shutil.copy(own.table("trials"), own.table("configurations"))
    with pytest.raises(InputError, match="cannot be answered") as refused:
        query(own, "SELECT nothing FROM trials")
    assert "DESCRIBE" in refused.value.do and "pooled" not in refused.value.do


def test_a_table_of_a_search_is_none_of_a_study(own):
    with pytest.raises(InputError, match="A study without a search has no such table"):
        read_table(own, "configurations")
