"""A study file: read, laid over its preset, checked, and written back with every default spelled out;
and a run folder, which holds one, opened."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hnscc.base.errors import InputError, several
from hnscc.base.locations import ZARR_ROOT, Location, locate
from hnscc.study.presets import SEARCHED, merge, preset_of
from hnscc.study.run_folder import RunFolder, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range
from hnscc.study.settings_page import names_in, nearest
from hnscc.study.variant_schema import Variant
from hnscc.study.yaml_text import MOST_NESTED, KeyPath, at_line, read_yaml, write_yaml


def load_study(path: str | Location) -> Study:
    """Read, merge and check a study file.

    Raises InputError naming the path of the setting and its line in the file: not YAML, unknown key, wrong type, value
    out of range.
    """
    path = locate(path)
    document = read_yaml(_text(path), str(path))
    return parse_study(document.value, str(path), document.lines)


def _text(path: Location) -> str:
    try:
        return path.read_text()
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
            do="check the path; studies/demo.yaml is an example",
        ) from None


def _instead(path: Location) -> tuple[str, str]:
    """What stands at a path that is no study file, and which file is meant, where that can be told."""
    if not path.is_dir():
        near = path.parent / f"{path.name}.yaml"
        return "nothing", f"name the file {near}" if near.is_file() else "check the path"
    run = RunFolder(path)
    if run.study.is_file():
        return "a run folder", f"name its study file, and the folder itself: {run.study} --out {path}"
    if (path / ZARR_ROOT).is_file():
        return "a store", "name a study file; its setting `store` names the store"
    files = sorted(each.name for each in path.glob("*.yaml"))
    if files:
        return f"a folder with {', '.join(files[:8])}", f"name one of its files, such as {path / files[0]}"
    return "a folder", "name a file; `hnscc check` validates it"


def parse_study(raw: Any, where: str = "study", lines: Mapping[KeyPath, int] | None = None) -> Study:
    """Return a study from its settings as plain values; see `load_study`.

    lines: for the path of each setting, its line in the file `where`, which messages then name.
    """
    if not isinstance(raw, dict):
        raise InputError(
            "The study file holds no settings.",
            where=where,
            expected="a mapping such as `name: demo`",
            found="nothing" if raw is None else type(raw).__name__,
            do="start from studies/demo.yaml",
        )
    _check_depth(raw, where)
    resolved = _resolve(raw)
    try:
        return Study.model_validate(resolved)
    except ValidationError as error:
        raise _told(error.errors(), resolved, where, lines or {}) from None


def _check_depth(raw: Any, where: str) -> None:
    """Refuse values that are nested deeper than a study file may be: `read_yaml` has seen to that, Python has not."""
    left = [(raw, 0)]
    while left:
        value, depth = left.pop()
        if depth > MOST_NESTED:
            raise InputError(
                "The study's settings are nested too deep.",
                where=where,
                expected=f"at most {MOST_NESTED} levels; a study needs 7",
                found="more, or a value within itself",
                do="compare it with studies/demo.yaml",
            )
        inside = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        )
        left += [(each, depth + 1) for each in inside]


def dump_study(study: Study) -> str:
    """Return the study as YAML with every default spelled out; `load_study` gives the same study back."""
    return write_yaml(study.model_dump(mode="json"))


def _resolve(raw: dict[str, Any]) -> dict[str, Any]:
    """Preset <- the file's base <- each variant's difference.

    What is not a mapping is left for the schema to refuse.
    """
    base = {key: value for key, value in raw.items() if key not in ("variants", "modalities")}
    resolved = merge(preset_of(raw.get("protocol")), base)
    shared = {key: resolved[key] for key in ("augmentation", "training")}
    if "modalities" in raw:
        shared["modalities"] = raw["modalities"]
    variants = raw.get("variants")
    if isinstance(variants, dict):
        resolved["variants"] = {
            name: merge(shared, difference or {}) if isinstance(difference, dict | None) else difference
            for name, difference in variants.items()
        }
    elif variants is not None:
        resolved["variants"] = variants
    elif "search" in raw:
        resolved["variants"] = {SEARCHED: shared}
    return resolved


def _told(
    errors: Sequence[ErrorDetails], resolved: Any, where: str, lines: Mapping[KeyPath, int]
) -> InputError:
    """The faults as the user reads them, each setting's once, in the order of their lines."""
    errors = sorted(errors, key=lambda each: each["type"] != "extra_forbidden")
    misspelt = {_path_of(each, resolved)[:-1] for each in errors if each["type"] == "extra_forbidden"}
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for each in errors:
        # A misspelt name also shows as a missing one.
        if each["type"] != "missing" or _path_of(each, resolved)[:-1] not in misspelt:
            found.setdefault(_in_base(_faulty(each, resolved)), []).append(each)
    in_order = sorted(found.values(), key=lambda each: _line_of(_path_of(each[0], resolved), lines) or 0)
    return several([_fault(each, resolved, where, lines) for each in in_order])


def _fault(
    errors: Sequence[ErrorDetails], resolved: Any, where: str, lines: Mapping[KeyPath, int]
) -> InputError:
    """What is wrong with one setting, by the errors of it; the first says what kind of fault it is."""
    paths = [_path_of(each, resolved) for each in errors]
    first, path = errors[0], paths[0]
    unknown, missing = first["type"] == "extra_forbidden", first["type"] == "missing"
    same = [_plainly(each["msg"]) for each, at in zip(errors, paths, strict=True) if at == path]
    return InputError(
        f"The setting {_dotted(path)} is {'unknown' if unknown else 'missing' if missing else 'not valid'}.",
        where=at_line(where, _line_of(path, lines)),
        expected=_meant(path) if unknown else "; or: ".join(dict.fromkeys(same)),
        found="nothing" if missing else repr(first["input"])[:200],
        do="correct it in the study file",
    )


def _faulty(error: ErrorDetails, resolved: Any) -> KeyPath:
    """The path of the setting that an error is a fault of: a mistake in the base shows again in every variant, and a
    value that may have several forms is refused once for each, whatever it holds: all are one fault."""
    value: Any = resolved
    for depth, part in enumerate(error["loc"]):
        if part not in _keys(value):
            whole = error["type"] == "missing" and depth == len(error["loc"]) - 1
            return error["loc"] if whole else error["loc"][:depth]
        value = value[part]
    return error["loc"]


def _keys(value: Any) -> Collection[Any]:
    return value if isinstance(value, dict) else range(len(value)) if isinstance(value, list | tuple) else ()


def _plainly(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _path_of(error: ErrorDetails, resolved: Any) -> KeyPath:
    """The path of the setting in the study: pydantic also names which of its forms was tried, and that is no key."""
    value: Any = resolved
    path: list[str | int] = []
    for part in error["loc"]:
        if part in _keys(value):
            value = value[part]
            path.append(part)
        elif error["type"] == "missing" and part == error["loc"][-1]:
            path.append(part)
    return tuple(path)


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path)) or "(whole file)"


def _in_base(path: KeyPath) -> KeyPath:
    return path[2:] if path[:1] == ("variants",) and len(path) > 2 else path


def _line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """Where the setting stands: under its variant, else in the file's base, else the section that should hold it."""
    if path in lines:
        return lines[path]
    if _in_base(path) in lines:
        return lines[_in_base(path)]
    return _line_of(path[:-1], lines) if path else None


def _meant(path: KeyPath) -> str:
    """The settings that an unknown one seems to mean, else those that exist beside it."""
    if path[:2] == ("search", "ranges"):  # below it are paths, not fields
        return (
            f"a list of values, or {', '.join(Range.model_fields)}, for a path such as training.learning_rate"
        )
    close = nearest(_dotted(_in_base(path)))
    known = dict.fromkeys(close if _in_base(path) == path else (_in_variant(each, path) for each in close))
    if _dotted(path) in known:
        return "a key for each name, one below the other, such as `training: {epochs: 40}`"
    if known:
        return f"{' or '.join(known)}?"
    return f"one of {', '.join(names_in(_section_of(path)))}"


def _in_variant(known: str, path: KeyPath) -> str:
    """A setting of the reference as it is named for the variant that `path` lies in."""
    own = known.removeprefix("variants.NAME.")
    varied = own.partition(".")[0] in Variant.model_fields
    return f"{_dotted(path[:2])}.{own}" if varied else f"{known} (not of a variant)"


def _section_of(path: KeyPath) -> str:
    """The section in which a setting stands, as the reference names it."""
    inside_variant = path[:1] == ("variants",) and len(path) == 3
    return "variants.NAME" if inside_variant else ".".join(map(str, _in_base(path)[:-1]))


def open_run(path: str | Location) -> RunFolder:
    """Return the run folder at `path`, which may be an s3:// URL. InputError where it is none."""
    folder = RunFolder(locate(path))
    if not folder.study.is_file():
        found, do = _there_instead(folder.root)
        raise InputError(
            "This is not a run folder.",
            where=str(path),
            expected="a folder with study.yaml, as `hnscc run` makes it",
            found=found,
            do=do or "check the path, for example runs/demo or s3://bucket/runs/demo",
        )
    return folder


def _there_instead(path: Location) -> tuple[str, str | None]:
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
