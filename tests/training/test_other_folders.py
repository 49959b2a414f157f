"""A folder in which something else than a run stands is no run folder, and nothing of it is touched."""

import os

import pytest

from hnscc.base.errors import InputError
from hnscc.study.run_folder import RunFolder
from hnscc.training.in_use import alone, one_trial


def test_a_folder_that_cannot_be_listed_is_one_clear_error(tmp_path):
    """Root may list any: so asked by a process of another user."""
    (tmp_path / "theirs").mkdir(mode=0)
    tmp_path.chmod(0o755)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match="Permission denied"), alone(RunFolder(tmp_path / "theirs")):
            pass
    finally:
        os.seteuid(os.getuid())


@pytest.mark.parametrize("hold", [alone, lambda folder: one_trial(folder, "pet-f0-r00")])
@pytest.mark.parametrize(
    "names", [["study.yaml", "report.html"], ["uv.lock"], ["zarr.json", "scans/A/zarr.json"], [".mine.tmp"]]
)
def test_a_folder_of_something_else_is_refused_and_stays_as_it_is(tmp_path, hold, names):
    """`--out .` overwrote the user's own study.yaml and report.html, `--out STORE` wrote into the store, and a run that
    was refused deleted uv.lock with all empty folders."""
    folder = RunFolder(tmp_path / "mine")
    (folder.root / "empty").mkdir(parents=True)
    for name in names:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_text("mine")
    before = sorted(folder.root.rglob("*"))
    entries = len(list(folder.root.iterdir()))
    with (
        pytest.raises(InputError, match=f"found: +{entries} files or folders that no run made"),
        hold(folder),
    ):
        pass
    assert sorted(folder.root.rglob("*")) == before
    assert all(each.read_text() == "mine" for each in before if each.is_file())


@pytest.mark.parametrize(
    "left",
    [
        [],
        [".lock"],
        [
            ".lock",
            ".preparing.lock",
            ".provenance.lock",
            ".tables.lock",
            "trials/pet-f0-r00/.lock",
            ".shared/n",
        ],
        [".study.yaml.0123456789abcdef.tmp"],
        [".nfs0000000000a1b2c3"],
    ],
)
def test_what_killed_processes_left_of_a_new_folder_is_in_nobodys_way(tmp_path, left):
    folder = RunFolder(tmp_path / "run")
    for name in left:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).touch()
    with alone(folder), one_trial(RunFolder(tmp_path / "other"), "pet-f0-r00"):
        assert folder.lock.is_file()


def test_notes_beside_a_run_are_its_users(tmp_path):
    for begun in ("provenance.json", "search.json", "folds/f0/split.json"):
        folder = RunFolder(tmp_path / begun.partition(".")[0])
        notes = folder.root / "notes.txt"
        for path in (folder.root / begun, notes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
        with alone(folder):
            pass
        assert notes.exists()
