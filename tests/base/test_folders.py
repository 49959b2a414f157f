"""A folder of results replaces its own kind alone, and never what someone else put there."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hnscc.base.errors import InputError
from hnscc.base.folders import at_work, make_unfinished, new_folder, write_marker


def fill(out, text="new", *, overwrite=False, meanwhile=None):
    """Write a folder of one result; `meanwhile` is called before the folder is given its name."""
    with new_folder(out, "settings.json", "hnscc export", overwrite=overwrite) as folder:
        (folder / "model.onnx").write_text(text)
        write_marker(folder, "settings.json", "hnscc export", {"study": "s"})
        if meanwhile:
            meanwhile()


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "settings.json"}


def test_a_folder_of_the_same_command_is_replaced_where_that_is_asked_for(tmp_path):
    fill(tmp_path / "out", "old")
    with pytest.raises(InputError, match=r"a folder with settings\.json"):
        fill(tmp_path / "out")
    assert contents(tmp_path / "out") == {"model.onnx": "old"}
    fill(tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == {"model.onnx": "new"}
    marker = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert marker == {"written_by": "hnscc export", "study": "s", "files": ["model.onnx"]}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o700), (0o022, 0o755), (0o002, 0o775)])
def test_who_may_read_it_is_what_the_umask_says(tmp_path, umask, mode):
    """Results of patients were readable for all users of the machine, whatever its umask said."""
    before = os.umask(umask)
    try:
        fill(tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


@pytest.mark.parametrize(
    "marker",
    [
        '{"editor": 1}',
        "[]",
        "no JSON",
        '{"written_by": "hnscc predict", "files": ["model.onnx", "thesis.txt"]}',
        '{"written_by": "hnscc export"}',
        None,
    ],
)
def test_a_folder_of_something_else_stays(tmp_path, marker):
    """A file of the marker's name alone says nothing: editors have settings.json too."""
    mine = tmp_path / "project"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    if marker is not None:
        (mine / "settings.json").write_text(marker)
    with pytest.raises(InputError, match="made by something else"):
        fill(mine, overwrite=True)
    assert contents(mine) == {"thesis.txt": "all of it"}
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_what_someone_put_beside_the_results_stays(tmp_path):
    fill(tmp_path / "out", "old")
    (tmp_path / "out" / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="1 that hnscc export did not write"):
        fill(tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == {"model.onnx": "old", "thesis.txt": "all of it"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_came_while_the_results_were_made_stays(tmp_path, overwrite):
    def came():
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("all of it")

    with pytest.raises(InputError, match="made by something else"):
        fill(tmp_path / "out", overwrite=overwrite, meanwhile=came)
    assert contents(tmp_path / "out") == {"thesis.txt": "all of it"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """if True:
    import contextlib, os, sys
    from pathlib import Path
    from hnscc.base.folders import at_work, make_unfinished
    folder, *names = sys.argv[1:]
    with contextlib.ExitStack() as held:
        for name in names:
            held.enter_context(at_work(made := make_unfinished(Path(folder), name)))
            (made / "a.nii.gz").write_text("half of it")
        os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_deleted_by_the_next_one_of_that_name(tmp_path):
    """And what a process makes that still runs stays, as does what is of another name, a longer one too."""
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, ".out", ".out.zarr", ".other"], check=False)
    (left,) = tmp_path.glob(".out.????????.unfinished")
    others = {path.name for path in tmp_path.iterdir() if not path.name.startswith(left.name)}
    assert len(others) == 4, "two folders, each with its lock"
    running = make_unfinished(tmp_path, ".out")
    with at_work(running):
        assert not left.exists()
        fill(tmp_path / "out")
        assert running.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out", *others}


def test_what_another_machine_makes_stays(tmp_path):
    """On some file systems a lock keeps out the processes of one machine alone: a lock that is free says nothing."""
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, ".out"], check=False)
    (lock,) = tmp_path.glob(".out.*.lock")
    lock.write_text("another machine")
    fill(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", lock.name, lock.name.removesuffix(".lock")}


def test_an_interrupt_while_something_is_deleted_leaves_no_folder(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, ".out"], check=False)
    before = {path.name for path in tmp_path.iterdir()}

    def interrupted(path: Path) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        during.setattr(Path, "read_text", interrupted)
        fill(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == before
