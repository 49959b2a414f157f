"""Looks through a `ray up` file and a folder to be submitted, and gives what it finds as text and for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of
from rayjobs.doctor.aws_safeguards import aws_problems
from rayjobs.doctor.cluster_file import ClusterFile, all_texts, field_name, with_defaults
from rayjobs.doctor.fields import PROVIDERS, field_problems
from rayjobs.doctor.marked_yaml import NotYamlError, Problem, read_marked
from rayjobs.doctor.safeguards import missing_safeguards
from rayjobs.doctor.uploads import Upload, check_working_dir, mount_notes


@dataclass(frozen=True)
class Checkup:
    """What is wrong in a `ray up` file, what is still to be filled in, and what else its user has to see to.

    Each list is in the order of the file's lines. With notes alone, a cluster may be started.
    """

    file: str
    problems: tuple[Problem, ...]
    to_fill_in: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def fine(self) -> bool:
        """Whether the file may be used as it is."""
        return not self.problems and not self.to_fill_in

    def lines(self) -> list[str]:
        """Each finding as `file:line: problem; expected ...; do: ...`, and a closing line."""
        told = [("", each) for each in (*self.problems, *self.to_fill_in)]
        told += [("note: ", each) for each in self.notes]
        found = [
            f"{self.file}:{each.line}: {kind}{each.problem}; expected {each.expected}; do: {each.do}"
            for kind, each in told
        ]
        return [*found, f"{self.file}: {self._verdict()}"]

    def _verdict(self) -> str:
        counts = [
            (len(self.problems), "problem", "problems"),
            (len(self.to_fill_in), "place still to be filled in", "places still to be filled in"),
        ]
        told = [count_of(*each) for each in counts if each[0]]
        return ", and ".join(told) or "every field and safeguard is in order"

    def as_json(self) -> dict[str, Any]:
        """The same for programs: file, and lists of findings with line, problem, expected and do."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """What `hnscc doctor` was asked to look at, and what it found."""

    cluster: Checkup | None
    upload: Upload | None

    @property
    def fine(self) -> bool:
        """Whether everything that was looked at may be used as it is."""
        return (self.cluster is None or self.cluster.fine) and not (self.upload and self.upload.problem)

    def lines(self) -> list[str]:
        """Return what a terminal shows."""
        return [
            *(self.cluster.lines() if self.cluster else ()),
            *([self.upload.line()] if self.upload else ()),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return what a program reads."""
        return {
            "fine": self.fine,
            "cluster": self.cluster and self.cluster.as_json(),
            "working_dir": self.upload and self.upload.as_json(),
        }


def examine(cluster: Path | None, working_dir: Path | None) -> Findings:
    """Look at a `ray up` file, a folder to be submitted, or both. InputError if one cannot be read."""
    return Findings(
        None if cluster is None else check_cluster(cluster),
        None if working_dir is None else check_working_dir(working_dir),
    )


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
    except NotYamlError as error:
        return Checkup(str(path), (error.problem,))
    if not isinstance(marked.data, dict):
        no_keys = Problem(1, "this is no `ray up` file", "keys with values", "begin with `cluster_name:`")
        return Checkup(str(path), (no_keys,))
    file = with_defaults(marked)
    return Checkup(
        str(path), _in_order(_problems(file)), _in_order(_to_fill_in(file)), _in_order(_notes(file))
    )


def _in_order(found: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.line))


def _problems(file: ClusterFile) -> Iterator[Problem]:
    yield from field_problems(file)
    yield from missing_safeguards(file)
    if file.provider == "aws":
        yield from aws_problems(file)


def _to_fill_in(file: ClusterFile) -> Iterator[Problem]:
    for path, text in all_texts(file.marked.data):
        if "FILL-IN" in text:
            problem = f"{field_name(path)} is still to be filled in"
            yield file.problem(path, problem, "what is yours", "replace FILL-IN")


def _notes(file: ClusterFile) -> Iterator[Problem]:
    if file.known_provider and file.provider not in PROVIDERS:
        yield file.problem(
            ("provider", "type"),
            "the fields of this provider and of its machines were not looked at",
            " or ".join(PROVIDERS),
            "go through disks, networks and public addresses yourself",
        )
    yield from mount_notes(file)
