"""A path that a user names is opened as a run folder, or refused with what stands there instead."""

from hnscc.base.errors import InputError
from hnscc.base.locations import Location, locate
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder, run_folder_of


def open_run(path: str | Location) -> RunFolder:
    """The run folder at `path`, which may be an s3:// URL. InputError where it is none."""
    folder = RunFolder(locate(path))
    if not folder.study.is_file():
        found, do = _instead(folder.root)
        raise InputError(
            "This is not a run folder.",
            where=str(path),
            expected="a folder with study.yaml, as `hnscc run` makes it",
            found=found,
            do=do or "check the path, for example runs/demo or s3://bucket/runs/demo",
        )
    return folder


def _instead(path: Location) -> tuple[str, str | None]:
    """What stands at a path that is no run folder, and which one is meant, where that can be told."""
    above = RunFolder(path.parent)
    kind = "file" if path.is_file() else "folder" if path.is_dir() else None
    if kind and above.study.is_file():
        return f"a {kind} inside a run folder", f"name the run folder itself: {above.root}"
    if kind == "file":
        return _of_study_file(path)
    if kind == "folder":
        return "a folder without study.yaml", None
    near = run_folder_of(path.name)
    return "no such folder", f"name the run folder {near.root}" if near.study.is_file() else None


def _of_study_file(path: Location) -> tuple[str, str | None]:
    try:
        folder = run_folder_of(load_study(path).name)
    except InputError:
        return "a file", None
    if folder.study.is_file():
        return "a study file", f"name its run folder: {folder.root}"
    return (
        "a study file",
        f"name its run folder: {folder.root} once `hnscc run {path}` has made it, or the one given as --out",
    )
