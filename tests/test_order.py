"""The order of the files names files that are there: one that was renamed would lose its place unseen. And no file is
longer than CONTRIBUTING.md has it."""

from pathlib import Path

TESTS = Path(__file__).parent
CODE = ("hnscc", "rayjobs", "data_prep", "tests", "benchmarks")


def test_each_file_that_has_a_place_is_there(pytestconfig):
    conftest = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    together = {each for row in conftest.TOGETHER for each in row}
    assert {each for each in together if not (TESTS / each).is_file()} == set()
    assert {*conftest.LONGEST} - {path.name for path in TESTS.rglob("test_*.py")} == set()


def test_no_file_has_more_than_300_lines():
    files = [file for folder in CODE for file in (TESTS.parent / folder).rglob("*.py")]
    assert len(files) > 700
    assert {str(file): lines for file in files if (lines := len(file.read_text().splitlines())) > 300} == {}
