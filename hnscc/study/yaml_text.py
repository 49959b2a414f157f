"""YAML of study files: read text as plain values, with the line of each setting, and write such values as text."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hnscc.base.errors import InputError

# A study file needs 7 levels. Without these limits an anchor within itself would never end, and a few lines of
# aliases of aliases would fill the memory.
MOST_NESTED: Final = 20
MOST_VALUES: Final = 100_000
TAG: Final = "tag:yaml.org,2002:"

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """The content of a YAML text: None, bool, int, float, str, and lists and mappings (keys are str) of these.

    lines: for the path of each value, as keys and list positions, the line of its key or list item, from 1.
    """

    value: Any
    lines: Mapping[KeyPath, int]


def read_yaml(text: str, where: str) -> Document:
    """Read one YAML document as plain values.

    1e-3 is a number, yes and no are true and false, keys are text as written, and `<<: *anchor` is merged. Raises
    InputError, which says `where` and the line, where the text is no YAML, gives a key twice, has a tag or a key of
    another kind, or is nested deeper than MOST_NESTED.
    """
    return _Reader(where).document(_composed(text, where))


def write_yaml(value: Mapping[str, Any]) -> str:
    """Return plain values as YAML, in the order given, in ASCII only. `read_yaml` returns the same values from it."""
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = False
    yaml.width = 2**20  # never wrap: the library adds a space where it breaks a line after escapes
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removeprefix("%YAML 1.1\n---\n")


def _yaml() -> YAML:
    # YAML 1.1, which PyYAML writes and reads, so that existing run folders keep their meaning, and study.yaml has the
    # same meaning for other readers.
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return yaml


def _composed(text: str, where: str) -> Node | None:
    yaml = _yaml()
    yaml.composer.warn_double_anchors = False  # YAML allows it: an alias means the last anchor before it
    try:
        root: Node | None = yaml.compose(text)
    except RecursionError:
        raise _unreadable(where, None, "it is nested far too deep") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ": ".join(" ".join(str(each).split()) for each in (error.context, error.problem) if each)
        raise _unreadable(where, mark and mark.line + 1, said) from None
    # It is not text, or it has an escape that stands for no character, such as "\U99999999".
    except (YAMLError, OverflowError, ValueError) as error:
        raise _unreadable(where, None, " ".join(str(error).split())) from None
    return root


def _unreadable(where: str, line: int | None, found: str) -> InputError:
    return InputError(
        "The study file cannot be read as YAML.",
        where=at_line(where, line),
        expected="a mapping of settings in YAML",
        found=found,
        do="mend it there; `hnscc init` writes a whole one",
    )


def at_line(where: str, line: int | None) -> str:
    """Return a place in a file as messages name it: `studies/demo.yaml, line 12`."""
    return where if line is None else f"{where}, line {line}"


@dataclass
class _Reader:
    """Reads a composed document once, as plain values and the lines where they stand."""

    where: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    values: int = 0

    def document(self, root: Node | None) -> Document:
        return Document(None if root is None else self._value(root, ()), self.lines)

    def _value(self, node: Node, path: KeyPath) -> Any:
        self._count(node, len(path))
        kind = str(node.tag).removeprefix(TAG)
        if isinstance(node, ScalarNode):
            return self._scalar(node, kind)
        if kind not in ("map", "seq"):
            raise self._error(node, f"the tag {node.tag}")
        if isinstance(node, MappingNode):
            return {key: self._at(path, key, *pair) for key, pair in self._pairs(node).items()}
        return [self._at(path, position, each, each) for position, each in enumerate(node.value)]

    def _count(self, node: Node, depth: int) -> None:
        self.values += 1
        if depth > MOST_NESTED or self.values > MOST_VALUES:
            limit = f"{MOST_NESTED} levels" if depth > MOST_NESTED else f"{MOST_VALUES} values"
            raise self._error(node, f"more than {limit}, or an alias within itself")

    def _at(self, path: KeyPath, step: str | int, named_by: Node, node: Node) -> Any:
        self.lines[*path, step] = _line(named_by)
        return self._value(node, (*path, step))

    def _pairs(self, node: MappingNode, merges: int = 0) -> dict[str, tuple[Node, Node]]:
        """Return, for each key, the nodes of key and value. A mapping's own keys win over those that are merged
        into it."""
        self._count(node, merges)
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                for each in self._merged(value):
                    merged = self._pairs(each, merges + 1) | merged
                continue
            if not isinstance(key, ScalarNode):
                raise self._error(key, "a list or mapping as a key")
            if key.value in own:
                raise self._error(key, f"the key {key.value!r}, which is given twice")
            own[key.value] = (key, value)
        return merged | own

    def _merged(self, value: Node) -> Iterator[MappingNode]:
        for each in value.value if isinstance(value, SequenceNode) else [value]:
            if not isinstance(each, MappingNode):
                raise self._error(value, "`<<` with something that is no mapping")
            yield each

    def _scalar(self, node: ScalarNode, kind: str) -> Any:
        if kind not in SCALARS:
            raise self._error(node, f"the tag {node.tag}")
        try:
            return SCALARS[kind](node.value)
        except (KeyError, ValueError):
            raise self._error(node, f"{node.value[:80]!r} as {kind}") from None

    def _error(self, node: Node, found: str) -> InputError:
        return _unreadable(self.where, _line(node), found)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _boolean(text: str) -> bool | str:
    # The single letters `y` and `n` stay text, as in PyYAML: they may name modalities.
    known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return text if text in {"y", "Y", "n", "N"} else known[text.lower()]


def _whole(text: str) -> int | str:
    digits = text.replace("_", "")
    # YAML 1.1 would read 1:30 as 90, and 0100 as 64. They stay text, since they may be names of patients, and
    # not numbers.
    return text if ":" in text or re.fullmatch("[-+]?0[0-9]+", digits) else int(digits, 0)


def _real(text: str) -> float | str:
    return text if ":" in text else float(re.sub(r"\.(?=inf|nan)|_", "", text.lower()))


SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "null": lambda _: None,
    "bool": _boolean,
    "int": _whole,
    "float": _real,
    # Other kinds (dates, `=`, `<<` as a value) occur in no setting: they stay text, as written.
    **dict.fromkeys(("str", "timestamp", "value", "merge"), str),
}
