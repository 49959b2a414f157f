"""Checks before a cluster is started or a job submitted, all of them offline: `hnscc doctor`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ray.autoscaler._private.providers import _NODE_PROVIDERS, _get_default_config

from hnscc.base.errors import InputError
from rayjobs.doctor.aws_safeguards import aws_problems
from rayjobs.doctor.field_checks import dotted, field_problems, refused_by_ray
from rayjobs.doctor.known_fields import PROVIDERS
from rayjobs.doctor.marked_yaml import KeyPath, Problem, read_marked
from rayjobs.doctor.safeguards import ClusterFile, items, keys, missing_safeguards
from rayjobs.doctor.uploads import Upload, check_working_dir


@dataclass(frozen=True)
class Checkup:
    """What is wrong in a `ray up` file, and what its user still has to see to; both in the order of its lines."""

    file: str
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]

    def lines(self) -> list[str]:
        """Each finding as `file:line: problem; expected ...; do: ...`."""
        told = [("", each) for each in self.problems] + [("note: ", each) for each in self.notes]
        return [
            f"{self.file}:{each.line}: {kind}{each.problem}; expected {each.expected}; do: {each.do}"
            for kind, each in told
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "problems": [asdict(each) for each in self.problems],
            "notes": [asdict(each) for each in self.notes],
        }


@dataclass(frozen=True)
class Findings:
    """What `hnscc doctor` was asked to look at, and found."""

    cluster: Checkup | None
    upload: Upload | None

    @property
    def fine(self) -> bool:
        return not (self.cluster and self.cluster.problems) and not (self.upload and self.upload.problem)

    def lines(self) -> list[str]:
        lines = []
        if self.cluster:
            count = len(self.cluster.problems)
            told = (
                f"{count} problem{'s' if count > 1 else ''}"
                if count
                else "every field and safeguard is in order"
            )
            lines += [*self.cluster.lines(), f"{self.cluster.file}: {told}"]
        return [*lines, self.upload.line()] if self.upload else lines

    def as_json(self) -> dict[str, Any]:
        return {
            "fine": self.fine,
            "cluster": self.cluster and self.cluster.as_json(),
            "working_dir": self.upload and self.upload.as_json(),
        }


def examine(cluster: Path | None, working_dir: Path | None) -> Findings:
    """Look at a `ray up` file, a folder to be submitted, or both. InputError if one cannot be read."""
    return Findings(cluster and check_cluster(cluster), working_dir and check_working_dir(working_dir))


def check_cluster(path: Path) -> Checkup:
    """Everything that is wrong with a `ray up` file: YAML, fields, safeguards. InputError if it cannot be read."""
    try:
        marked = read_marked(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The cluster file cannot be read.",
            where=str(path),
            expected="a `ray up` file: YAML in UTF-8",
            found=getattr(error, "strerror", None) or "bytes that are no text",
            do="name the file, for example cluster.yaml",
        ) from None
    problems = list(marked.problems)
    if not isinstance(marked.data, dict):
        if not problems:
            problems.append(
                Problem(1, "this is no `ray up` file", "keys with values", "begin with `cluster_name:`")
            )
        return Checkup(str(path), _in_order(problems), ())
    file = ClusterFile(marked, _with_default_commands(marked.data))
    problems += field_problems(marked, file.provider)
    problems += missing_safeguards(file)
    if file.provider == "aws":
        problems += aws_problems(file)
    if not problems:
        problems += refused_by_ray(marked)
    return Checkup(str(path), _in_order(problems), _in_order(_notes(file)))


def _in_order(found: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.line))


def _with_default_commands(data: dict[str, Any]) -> dict[str, Any]:
    """The file, with the commands that Ray would run where it leaves them out."""
    kind = str(keys(data.get("provider")).get("type"))
    if kind not in PROVIDERS:
        return data
    defaults = _get_default_config({"type": kind})
    return {key: value for key, value in defaults.items() if key.endswith("_commands")} | data


def _notes(file: ClusterFile) -> Iterator[Problem]:
    if file.provider not in PROVIDERS and file.provider in _NODE_PROVIDERS:
        yield Problem(
            file.marked.line(("provider", "type")),
            "the fields of this provider and of its machines were not looked at",
            "aws or local",
            "go through disks, networks and public addresses yourself",
        )
    for path, text in _texts((), file.marked.data):
        if "FILL-IN" in text:
            line = file.marked.line(path)
            yield Problem(
                line, f"{dotted(path)} is still to be filled in", "what is yours", "replace FILL-IN"
            )
    yield from _mount_notes(file)


def _texts(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    for key, each in keys(value).items():
        yield from _texts((*path, key), each)
    for position, each in enumerate(items(value)):
        yield from _texts((*path, position), each)


def _mount_notes(file: ClusterFile) -> Iterator[Problem]:
    """What is to be copied must be on this machine: Ray looks from the folder that one stands in. The token must be
    closed to others."""
    for remote, local in keys(file.settings.get("file_mounts")).items():
        if not isinstance(local, str):
            continue
        place, line = Path(local).expanduser(), file.marked.line(("file_mounts", remote))
        if place.exists():
            if place.name == "auth_token" and place.stat().st_mode & 0o077:
                yield Problem(
                    line, "others on this machine can read the token", "mode 600", f"chmod 600 {local}"
                )
        elif place.name == "auth_token":
            make = f"(umask 077; ray get-auth-token --generate > /dev/null); chmod 600 {local}"
            yield Problem(line, "there is no token on this machine yet", "a token file", make)
        else:
            yield Problem(
                line,
                "what this mount copies is not here",
                "a file or folder, seen from where `ray up` is called",
                "call hnscc and ray in the project's folder",
            )
