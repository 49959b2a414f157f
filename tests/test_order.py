"""The order of the files names files that are there: one that was renamed would lose its place unseen."""

from pathlib import Path

TESTS = Path(__file__).parent


def test_each_file_that_has_a_place_is_there(pytestconfig):
    conftest = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    together = {each for row in conftest.TOGETHER for each in row}
    assert {each for each in together if not (TESTS / each).is_file()} == set()
    assert {*conftest.LONGEST} - {path.name for path in TESTS.rglob("test_*.py")} == set()
