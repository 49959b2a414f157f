"""Processes that stand by: as many as were told to load the modules, and all of them are waited for."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from rayjobs.standby import LOADED_WITHIN, await_standby, standing_by

ROOT = Path(__file__).parents[2]
TELL = "import sys, rayjobs.standby_here; print('colorsys' in sys.modules)"

ENDS = """
import atexit
atexit.register(print, "registered")
import rayjobs.standby_here

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
"""


def started(command=TELL) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True)


def test_as_many_processes_load_as_were_told_to():
    with standing_by(2, ("colorsys",), os.getpid):
        told = [each.communicate()[0].strip() for each in [started() for _ in range(3)]]
    assert sorted(told) == ["False", "True", "True"]


def test_the_folder_of_temporary_files_may_have_any_name(tmp_path, monkeypatch):
    """With a colon in TMPDIR each process died, and so did the trials: "its process died 6 times"."""
    folder = tmp_path / "job:1 ä, 'x'"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with standing_by(1, ("colorsys",), os.getpid) as answer:
        process = started()
        assert process.communicate()[0].strip() == "True"
        assert answer() == process.pid


def test_the_process_that_has_loaded_first_answers_whatever_the_question_gives_or_raises():
    ask = "import rayjobs.standby_here, os; print(os.getpid())"
    with standing_by(2, ("colorsys",), os.getpid) as answer:
        first, second = (int(started(ask).communicate()[0]) for _ in range(2))
        assert answer() == answer() == first != second
    with standing_by(1, ("colorsys",), partial(exec, "import os; raise ValueError(os.getpid())")) as answer:
        asked = started(ask).communicate()[0].strip()
        with pytest.raises(ValueError, match=asked):
            answer()


@pytest.mark.parametrize(
    ("count", "told"), [(0, ""), (1, "no process answered within 0 s: this one asks itself\n")]
)
def test_a_question_is_answered_here_where_no_process_is_to_load_or_none_begins(
    monkeypatch, capsys, count, told
):
    """It was waited for without a word, for half a minute or two."""
    monkeypatch.setattr("rayjobs.standby.BEGUN_WITHIN", 0.3)
    with standing_by(count, ("colorsys",), os.getpid) as answer:
        assert answer() == os.getpid()
    assert capsys.readouterr().out == told


def test_that_there_was_no_room_for_the_answer_is_told(capsys):
    """It was said that no process had answered within 0 s."""
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); import rayjobs.standby_here"
    )
    with standing_by(1, ("colorsys",), partial(bytes, 1000)) as answer:
        with started(limit) as process:
            process.communicate()
        assert process.returncode == 0 and answer() == bytes(1000)
    assert capsys.readouterr().out == (
        "no process could write its answer, as where the folder of temporary files has no room: "
        "this one asks itself\n"
    )


def test_a_process_that_cannot_say_that_it_has_loaded_goes_on():
    """An error that is no ImportError ends a process of Ray's."""
    with standing_by(1, ("colorsys",), os.getpid):
        ended = Path(json.loads(os.environ["HNSCC_STANDBY"])[0], "0.ended")
        ended.symlink_to(ended)
        with started() as process:
            assert process.communicate()[0].strip() == "True"
        assert process.returncode == 0


def test_without_an_order_nothing_is_loaded_or_waited_for():
    assert started().communicate()[0].strip() == "False"
    began = time.monotonic()
    await_standby()
    assert time.monotonic() - began < 1


def test_a_process_ends_what_is_registered_and_takes_nothing_apart():
    """To take PyTorch apart took a second of a processor in each, while the driving process wrote tables."""
    assert started(ENDS).communicate()[0] == "registered\n"


def test_who_died_while_loading_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "module.py").write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with standing_by(1, ("module",), os.getpid) as answer:
        started().communicate()
        assert begun() == 1
        waits = time.monotonic()
        await_standby()
        assert answer() == os.getpid(), "it is answered here"
        assert time.monotonic() - waits < LOADED_WITHIN / 2


def begun() -> int:
    return len([*Path(json.loads(os.environ["HNSCC_STANDBY"])[0]).glob("*.begun")])


@pytest.mark.parametrize(
    ("text", "code"), [("import time; time.sleep(1)", 0), ("raise ImportError('none')", 1)]
)
def test_who_has_begun_is_waited_for_whether_it_can_load_or_not(tmp_path, monkeypatch, text, code):
    (tmp_path / "module.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with standing_by(4, ("module",), os.getpid):
        await_standby()  # nobody has begun
        with started() as process:
            while not begun():
                time.sleep(0.01)
            waits = time.monotonic()
            await_standby()
            assert (time.monotonic() - waits > 0.5) == (code == 0), "as long as the module takes"
            process.communicate()
    assert process.returncode == code


def test_who_loads_too_long_is_told_of_and_not_waited_for(tmp_path, monkeypatch, capsys):
    (tmp_path / "module.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setattr("rayjobs.standby.LOADED_WITHIN", 0.3)
    with standing_by(1, ("module",), os.getpid), started() as process:
        try:
            while not begun():
                time.sleep(0.01)
            await_standby()
        finally:
            process.kill()
    assert capsys.readouterr().out == "processes still load after 0.3 s: training starts all the same\n"
