"""What the functions of `import hnscc` say of arguments that a command line cannot give: numbers, lists, None."""

import inspect
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import hnscc
from data_prep.new_scans import list_scans
from hnscc.base.errors import InputError


def of_places() -> Iterator[tuple[str, str]]:
    """Each function with each of its parameters that names a place, and must be given."""
    for name in sorted(each for each, home in hnscc.HOMES.items() if home.startswith("commands.")):
        for each in inspect.signature(getattr(hnscc, name)).parameters.values():
            if each.default is inspect.Parameter.empty and "Path" in each.annotation and each.name != "scans":
                yield name, each.name


@pytest.mark.parametrize(("name", "parameter"), [*of_places()])
def test_what_names_no_place_is_refused_by_its_parameter(name, parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = getattr(hnscc, name)
    asked = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is inspect.Parameter.empty
    ]
    others = {each: "sts" if each == "cohort" else str(tmp_path) for each in asked}
    for given in (None, 3, b"runs/demo", ["runs/demo", 3]):
        with pytest.raises(InputError, match=f"{parameter} names no place[^$]*{re.escape(repr(given))}"):
            function(**others | {parameter: given})


def test_scans_that_name_no_place_and_sql_that_is_no_text_are_refused(finished):
    for given in (None, 3, b"x", ["a", 3]):
        with pytest.raises(InputError, match="scans names no place"):
            list_scans(given, ["pet"])
    with pytest.raises(InputError, match="sql is no text"):
        hnscc.query(finished, 3)
    with pytest.raises(InputError, match="prefer is no list"):
        hnscc.scan(".", prefer=3)


@pytest.mark.parametrize("function", [hnscc.run, hnscc.search])
def test_outside_of_the_main_thread_nothing_is_begun(tmp_path, function):
    """Signals reach the main thread alone. It was a ValueError of `signal`, once the run folder was made."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(function, tmp_path / "study.yaml")
    with pytest.raises(InputError, match="main thread"):
        answer.result()
