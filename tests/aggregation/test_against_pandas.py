"""The tables of a million slice rows against those of a plain script with pandas, as the benchmark compares them."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "aggregation.py"


@pytest.mark.slow
def test_the_tables_equal_those_of_pandas() -> None:
    """A new column of ours must be named there; the benchmark had ended with an error twice after one came."""
    command = [sys.executable, str(BENCHMARK), "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "aggregation against pandas" in done.stdout
