"""Mutated DICOM and NIfTI files are read or refused, and nothing else: no crash, no hang, no word of a library."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz.py"


@pytest.mark.slow
def test_mutated_files_are_refused_or_read_and_nothing_else():
    """A few hundred of the 20,000 that `python tests/data_prep/fuzz.py` reads."""
    ran = subprocess.run(
        [sys.executable, FUZZ, "--count", "300", "--seed", "7"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counts = re.search(r"^all +(\d+) +(\d+) +(\d+) +0$", ran.stdout, re.M)
    refused, same, other = map(int, counts.groups())
    assert refused > 100 and same > 50 and other > 5 and refused + same + other == 300
    assert int(re.search(r"at most (\d+) MiB", ran.stdout)[1]) < 2048
