"""A `ray up` file as Ray will read it, for the checks to ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ray.autoscaler.sdk import fillout_defaults

from rayjobs.doctor.marked_yaml import FieldPath, MarkedYaml, Problem

START_KEYS = {"head": "head_start_ray_commands", "worker": "worker_start_ray_commands"}
_SETUP_KEYS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")


@dataclass(frozen=True)
class ClusterFile:
    """A `ray up` file: its own keys (`marked`), and those with Ray's defaults for what it leaves out (`settings`).

    Values of the wrong type are told by rayjobs/doctor/fields.py; for everything else they count as absent.
    """

    marked: MarkedYaml
    settings: dict[str, Any]
    known_provider: bool

    @property
    def provider(self) -> str:
        return str(at(self.settings, "provider", "type"))

    @property
    def head(self) -> str:
        """The name of the head's kind of machine."""
        return str(self.settings.get("head_node_type"))

    @property
    def machines(self) -> dict[str, dict[str, Any]]:
        """Each kind of machine by its name."""
        kinds = keys(self.settings.get("available_node_types"))
        return {name: keys(kind) for name, kind in kinds.items()}

    def texts(self, *path: Any) -> list[tuple[FieldPath, str]]:
        """Return the texts of a list in the file, each with its path."""
        listed = enumerate(items(at(self.settings, *path)))
        return [((*path, i), text) for i, text in listed if isinstance(text, str)]

    def commands(self) -> list[tuple[FieldPath, str]]:
        """Return every shell command that Ray runs for the file, with its path."""
        found = [each for key in (*_SETUP_KEYS, *START_KEYS.values()) for each in self.texts(key)]
        for name in self.machines:
            for key in ("initialization_commands", "worker_setup_commands"):
                found += self.texts("available_node_types", name, key)
        return found

    def docker_places(self) -> list[FieldPath]:
        """Return where settings of Docker may stand: for all machines, and for each kind."""
        return [("docker",), *(("available_node_types", name, "docker") for name in self.machines)]

    def problem(
        self, path: FieldPath, problem: str, expected: str, do: str, word: str | None = None
    ) -> Problem:
        """Return a Problem at a path; `word` stands on the line that is meant, where the path's text runs
        over several."""
        if path and path[0] in self.settings and path[0] not in self.marked.data:
            problem = f"{path[0]} is missing, and in Ray's default {problem}"
        return Problem(self.marked.line(path, word), problem, expected, do)


def with_defaults(marked: MarkedYaml) -> ClusterFile:
    """Return the file with what Ray takes for the keys that it leaves out. marked.data must be a mapping."""
    kind = at(marked.data, "provider", "type")
    try:
        defaults = fillout_defaults({"provider": {"type": str(kind)}})
    except NotImplementedError:
        return ClusterFile(marked, marked.data, known_provider=False)
    return ClusterFile(marked, defaults | marked.data, known_provider=True)


def at(value: Any, *path: Any) -> Any:
    """Return what stands at a path of keys; None where there is nothing, or no mapping on the way."""
    for key in path:
        value = keys(value).get(key)
    return value


def keys(value: Any) -> dict[Any, Any]:
    """Return the mapping that a value is; empty where it is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return the list that a value is; empty where it is none."""
    return value if isinstance(value, list) else []


def field_name(path: FieldPath) -> str:
    """Return a path as messages spell it, such as `provider.region`."""
    return ".".join(map(str, path))


def all_texts(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, str]]:
    """Every text and every key within a value, with its path."""
    if isinstance(value, str):
        yield path, value
    for key, each in keys(value).items():
        yield (*path, key), key
        yield from all_texts(each, (*path, key))
    for position, each in enumerate(items(value)):
        yield from all_texts(each, (*path, position))
