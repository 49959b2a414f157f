"""A folder of results replaces its own kind alone, and never what someone else put there."""

import json
import subprocess
import sys

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


def test_what_a_killed_process_left_is_deleted_by_the_next_one_of_that_name(tmp_path):
    """And what a process makes that still runs stays, as does what is of another name."""
    killed = """if True:
        import contextlib, os, sys
        from pathlib import Path
        from hnscc.base.folders import at_work, make_unfinished
        with contextlib.ExitStack() as held:
            for name in (".out", ".other"):
                held.enter_context(at_work(folder := make_unfinished(Path(sys.argv[1]), name)))
                (folder / "a.nii.gz").write_text("half of it")
            os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", killed, tmp_path], check=False)
    (other,) = tmp_path.glob(".other.*.unfinished")
    (left,) = tmp_path.glob(".out.*.unfinished")
    running = make_unfinished(tmp_path, ".out")
    with at_work(running):
        assert not left.exists() and other.exists()
        fill(tmp_path / "out")
        assert running.exists()
        running.rmdir()
    assert {path.name for path in tmp_path.iterdir()} == {"out", other.name, f"{other.name}.lock"}
