"""The reference page of the tables is what the schemas say, of everything; tests/test_docs.py holds it current."""

import pytest

from hnscc.aggregation.schemas import TABLES, schema
from hnscc.commands.docs import tables_page
from hnscc.scores.metrics import METRICS


@pytest.mark.parametrize("name", TABLES)
def test_it_names_every_column_once_with_type_and_meaning(name):
    section = tables_page().split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    names = [row[0].strip("`") for row in rows]
    assert names == schema(name).names and len(names) == len(set(names))
    assert all(len(row) == 3 and all(row) for row in rows)


def test_it_names_every_metric_and_what_its_empty_value_is():
    section = tables_page().split("\n## Metrics\n")[1]
    for metric in METRICS.values():
        assert f"| `{metric.name}` | {metric.label} |" in section and metric.when_empty in section
