"""Read a study file: lay it over its preset, check it, and write it back with every default spelled out; open a run
folder, which holds such a file."""

import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hnscc.base.errors import InputError, InputErrors, several
from hnscc.base.in_words import as_typed
from hnscc.base.locations import ZARR_ROOT, Location, check_places, locate
from hnscc.study.faults import faults_of, without_effect_of
from hnscc.study.presets import SEARCHED, in_lower_case, merge, preset_of
from hnscc.study.run_folder import RunFolder, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.without_effect import given_without_effect, unused_modalities
from hnscc.study.yaml_text import MOST_NESTED, KeyPath, read_yaml, write_yaml


def load_study(path: str | Location) -> Study:
    """Read a study file, lay it over its preset, and return the checked study.

    Raises InputError with the path of the setting and its line in the file where the file is no YAML, a key is unknown,
    a value has another type or is out of range, or a setting changes nothing because of another one.
    """
    check_places(study=path)
    path = locate(path)
    document = read_yaml(_text(path), str(path))
    return parse_study(document.value, str(path), document.lines)


def kept_study(folder: RunFolder) -> Study:
    """Return the study that a run folder holds. It may be an older one with settings that change nothing, which
    `load_study` now refuses. InputError where the file is damaged, or of another version."""
    text = _text(folder.study)
    try:
        document = read_yaml(text, str(folder.study))
        return _checked(document.value, str(folder.study), document.lines)
    except InputError as error:
        fault = error.faults[0] if isinstance(error, InputErrors) else error
        raise InputError(
            "The study in the run folder is not one that this version of hnscc wrote.",
            where=str(folder.study),
            expected="the study of the command that began the run, which that command wrote there",
            found=fault.problem,
            do="if it is damaged, such as cut short by a full disk, delete it: the same command writes it again",
        ) from None


def _text(path: Location) -> str:
    try:
        content = path.read_bytes()
        # Files are UTF-8, whatever the locale says, or UTF-16 where its byte order mark stands first, as Windows'
        # editors write it.
        return content.decode("utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8")
    except (FileNotFoundError, IsADirectoryError):
        found, do = _instead(path)
        raise InputError(
            "There is no such study file.", where=str(path), expected="a YAML file", found=found, do=do
        ) from None
    except (UnicodeDecodeError, PermissionError) as error:
        raise InputError(
            "The study file cannot be read.",
            where=str(path),
            expected="a text file (UTF-8) that you may read",
            found=" ".join(str(error).split()),
            do="check the path, or save the file as UTF-8",
        ) from None


def _instead(path: Location) -> tuple[str, str]:
    """Return what stands at a path that is no study file, and which file is meant, where that can be told."""
    if not path.is_dir():
        near = path.parent / f"{path.name}.yaml"
        return "nothing", f"name the file {near}" if near.is_file() else "check the path"
    run = RunFolder(path)
    if run.study.is_file():
        typed = f"{as_typed(run.study)} --out {as_typed(path)}"
        return "a run folder", f"name its study file, and the folder itself: {typed}"
    if (path / ZARR_ROOT).is_file():
        return "a store", "name a study file; its setting `store` names the store"
    files = sorted(each.name for each in path.glob("*.yaml"))
    if files:
        return f"a folder with {', '.join(files[:8])}", f"name one of its files, such as {path / files[0]}"
    return "a folder", "name a file; `hnscc check` validates it"


def parse_study(raw: Any, where: str = "study", lines: Mapping[KeyPath, int] | None = None) -> Study:
    """Return a study from its settings as plain values. Raises what `load_study` raises.

    lines: for the path of each setting, its line in the file `where`, which messages then name.
    """
    study = _checked(raw, where, lines or {})
    unused = [*given_without_effect(study), *unused_modalities(raw)]
    faults = without_effect_of(unused, where, lines or {})
    if faults:
        raise several(faults)
    return study


def _checked(raw: Any, where: str, lines: Mapping[KeyPath, int]) -> Study:
    """Return the study that plain values describe. InputError where the schema refuses a value."""
    if not isinstance(raw, dict):
        raise InputError(
            "The study file holds no settings.",
            where=where,
            expected="a mapping such as `name: demo`",
            found="nothing"
            if raw is None
            else "a list"
            if isinstance(raw, list)
            else "text or a number alone",
            do="name a study file; `hnscc init` writes one to start from",
        )
    _check_depth(raw, where)
    resolved = _resolve(raw)
    try:
        return Study.model_validate(resolved)
    except ValidationError as error:
        raise faults_of(error.errors(), resolved, where, lines) from None


def _check_depth(raw: Any, where: str) -> None:
    """Raise InputError where values are nested deeper than a study file may be. `read_yaml` checks this for files; this
    is for values from Python."""
    left = [(raw, 0)]
    while left:
        value, depth = left.pop()
        if depth > MOST_NESTED:
            raise InputError(
                "The study's settings are nested too deep.",
                where=where,
                expected=f"at most {MOST_NESTED} levels; a study needs 7",
                found="more, or a value within itself",
                do="compare it with one that `hnscc init` writes",
            )
        inside = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        )
        left += [(each, depth + 1) for each in inside]


def dump_study(study: Study) -> str:
    """Return the study as YAML with every default spelled out; `load_study` gives the same study back."""
    return write_yaml(study.model_dump(mode="json"))


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    """Lay the file's base over its preset, and each variant's differences over that.

    A value that should be a mapping and is none is left as it is, for the schema to refuse.
    """
    raw = in_lower_case(raw)
    base = {key: value for key, value in raw.items() if key not in ("variants", "modalities")}
    resolved = merge(preset_of(raw.get("protocol")), base)
    shared = {key: resolved[key] for key in ("augmentation", "training")}
    if "modalities" in raw:
        shared["modalities"] = raw["modalities"]
    # Where such a section of the base is no mapping, variants leave it out: what a variant gives would lack all other
    # settings, and each would be reported as missing.
    faulty = [key for key in ("augmentation", "training") if not isinstance(shared[key], dict)]
    variants = raw.get("variants")
    if isinstance(variants, dict):
        resolved["variants"] = {
            name: merge(shared, {key: each for key, each in (difference or {}).items() if key not in faulty})
            if isinstance(difference, dict | None)
            else difference
            for name, difference in variants.items()
        }
    elif variants is not None:
        resolved["variants"] = variants
    elif "search" in raw:
        resolved["variants"] = {SEARCHED: shared}
    return resolved


def open_run(path: str | os.PathLike[str] | Location) -> RunFolder:
    """Return the run folder at `path`, which may be an s3:// URL. InputError where it is none."""
    check_places(run=path)
    folder = RunFolder(locate(path))
    if not folder.study.is_file():
        found, do = _there_instead(folder.root)
        raise InputError(
            "This is not a run folder.",
            where=str(folder.root),
            expected="a folder with study.yaml, as `hnscc run` makes it",
            found=found,
            do=do or "check the path, for example runs/demo or s3://bucket/runs/demo",
        )
    return folder


def _there_instead(path: Location) -> tuple[str, str | None]:
    """Return what stands at a path that is no run folder, and which one is meant, where that can be told."""
    above = RunFolder(path.parent)
    kind = "file" if path.is_file() else "folder" if path.is_dir() else None
    if kind and above.study.is_file():
        return f"a {kind} inside a run folder", f"name the run folder itself: {above.root}"
    if kind == "file":
        return _of_study_file(path)
    if kind == "folder":
        if not RunFolder(path).lock.is_file():
            return "a folder without study.yaml", None
        do = "wait until its command has read the store, or give that command again if it has ended"
        return "a folder without study.yaml, in which a run has begun", do
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
        f"name its run folder: {folder.root} once `hnscc run {as_typed(path)}` has made it, or the one given as --out",
    )
