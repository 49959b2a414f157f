"""Tables read back and asked by SQL: their order, bad SQL, absent, damaged and older tables."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from run_folders import random_run, small_study, write_run
from small_tables import many_slices

from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import query, read_table
from hnscc.base.errors import InputError
from hnscc.scores.metrics import METRICS
from hnscc.scores.patient_metrics import PATIENT_METRICS
from hnscc.study.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    run = random_run(
        tmp_path_factory.mktemp("random"), small_study(("pet", "mri", "pet_mri"), repeats=3), patients=24
    )
    write_tables(run)
    return run


def test_rows_of_a_query_stand_in_the_tables_order(run):
    assert query(run, "SELECT * FROM slices").to_pylist() == read_table(run, "slices").to_pylist()
    assert query(run, "SELECT count(*) AS n FROM comparisons").to_pylist() == [
        {"n": 3 * (len(METRICS) * 3 * 4 + len(PATIENT_METRICS) * 2)}
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM pooled", "nothing"),
        ("SELECT * FROM other", "other"),
        ("", "no statement"),
        ("SELECT * FROM read_parquet('{table}')", "disabled"),
        ("SELECT * FROM '{table}'", "disabled"),
        ("COPY pooled TO '{root}/stolen.csv'", "1 statement: COPY"),
        ("ATTACH '{root}/other.db'", "1 statement: ATTACH"),
        ("SET enable_external_access = true", "enable_external_access"),
        ("SELECT * FROM sql", "sql"),  # a variable of the Python code is no table
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
    ],
)
def test_bad_sql_is_one_clear_error(run, sql, message):
    sql = sql.format(table=run.table("pooled"), root=run.root)
    with pytest.raises(InputError, match=message):
        query(run, sql)
    assert not (run.root / "stolen.csv").exists()


def test_reading_what_is_not_there(run, tmp_path):
    with pytest.raises(InputError, match="no such table"):
        read_table(run, "Pooled")
    bare = write_run(tmp_path, small_study(), [many_slices()])
    for read in (lambda: read_table(bare, "pooled"), lambda: query(bare, "SELECT 1")):
        with pytest.raises(InputError, match="hnscc aggregate"):
            read()


def damage_table(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "junk":
        content = bytearray(b"no parquet at all")
    elif how == "cut":
        content = content[: len(content) // 2]
    else:  # the footer is whole, the pages are not
        content[4 : len(content) // 3] = b"\x00" * (len(content) // 3 - 4)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["junk", "cut", "pages"])
def test_a_damaged_table_is_one_clear_error_without_a_path(run, tmp_path, how):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "damaged"))
    damage_table(copy.table("slices"), how)
    for read in (lambda: read_table(copy, "slices"), lambda: query(copy, "SELECT sum(pred_px) FROM slices")):
        with pytest.raises(InputError, match=r"tables/slices\.parquet") as caught:
            read()
        assert str(tmp_path) not in str(caught.value)


def test_a_table_of_another_version_is_refused(run, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "older"))
    pq.write_table(pq.read_table(copy.table("protocol")).drop_columns("dice_sd"), copy.table("protocol"))
    with pytest.raises(InputError, match="no column dice_sd"):
        read_table(copy, "protocol")


def test_a_table_that_another_program_wrote_with_other_types_is_refused(run, tmp_path):
    """The report ended in a traceback: Unknown format code 'f' for object of type 'str'."""
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "written"))
    table = pq.read_table(copy.table("pooled"))
    position = table.column_names.index("dice")
    pq.write_table(table.set_column(position, "dice", table["dice"].cast("string")), copy.table("pooled"))
    with pytest.raises(InputError, match=r"column dice of another type.*") as refused:
        read_table(copy, "pooled")
    assert "hnscc aggregate" in refused.value.do
