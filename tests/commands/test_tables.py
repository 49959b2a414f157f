"""`hnscc tables`: tables, columns and their meanings."""

import json
import shutil

import pyarrow.parquet as pq
from commands import refused

from hnscc.aggregation.schemas import STUDY_TABLES, TABLES


def test_tables_lists_tables_columns_and_meanings(hnscc, finished):
    code, out, _ = hnscc("tables", finished)
    assert code == 0
    text = " ".join(out.replace("│", " ").split())
    for name in STUDY_TABLES:
        assert f"│ {name} " in out
    assert "lower end of the 95 % interval over patients of dice" in text
    found = json.loads(hnscc("tables", finished, "--json")[1])
    assert [each["table"] for each in found] == list(STUDY_TABLES)
    rows = {each["table"]: each["rows"] for each in found}
    assert rows == {name: pq.read_metadata(finished / f"tables/{name}.parquet").num_rows for name in rows}
    columns = {each["table"]: [column["column"] for column in each["columns"]] for each in found}
    assert columns == {
        name: pq.read_schema(finished / f"tables/{name}.parquet").names for name in STUDY_TABLES
    }


def test_tables_tells_one_table_in_full(hnscc, finished):
    code, out, _ = hnscc("tables", finished, "regression")
    assert code == 0
    rows = pq.read_metadata(finished / "tables/regression.parquet").num_rows
    assert out.startswith(f"regression: one row per {TABLES['regression'].row}; rows: {rows}\n")
    assert "coefficient of determination" in out and "pred_px" not in out
    facts = json.loads(hnscc("tables", finished, "regression", "--json")[1])
    assert facts == next(
        each for each in json.loads(hnscc("tables", finished, "--json")[1]) if each["table"] == "regression"
    )
    assert "pooled" in refused(hnscc("tables", finished, "polled"))
    assert "not a run folder" in refused(hnscc("tables", finished / "trials"))


def test_tables_says_what_is_not_written_yet(hnscc, finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    shutil.rmtree(root / "tables")
    code, out, _ = hnscc("tables", root)
    assert code == 0 and out.count("not written") == len(STUDY_TABLES)
