"""YAML whose every key and item knows its line, so that a complaint can name it."""

from dataclasses import dataclass
from typing import Any

import yaml

KeyPath = tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file. Texts hold no value that may be secret, and no path of a patient's file."""

    line: int
    problem: str
    expected: str
    do: str


@dataclass(frozen=True)
class MarkedYaml:
    """A document (None where it could not be read), its lines by path, and what is wrong with its YAML.

    lines[("provider", "region")] is the line of the key `region`, lines[("setup_commands", 1)] that of the
    second item. Lines count from 1; keys are text throughout.
    """

    data: Any
    lines: dict[KeyPath, int]
    problems: tuple[Problem, ...]
    text: str

    def line(self, path: KeyPath, word: str | None = None) -> int:
        """The line of a path, or of the nearest of its parents that the file has.

        word: the first line from there on that holds it, where a long text runs over several.
        """
        while path and path not in self.lines:
            path = path[:-1]
        first = self.lines.get(path, 1)
        if word is None:
            return first
        later = min((line for line in self.lines.values() if line > first), default=first + 1000)
        span = self.text.splitlines()[first - 1 : max(later - 1, first)]
        return next((first + i for i, line in enumerate(span) if word in line), first)


def read_marked(text: str) -> MarkedYaml:
    """Parse one YAML document. Repeated keys, which YAML readers silently let win, are problems."""
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is not None:
            lines[()] = root.start_mark.line + 1
            _mark(loader, root, (), lines, problems, frozenset())
        data = None if root is None else _with_text_keys(loader.construct_document(root))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(_unreadable(error))
        data = None
    finally:
        loader.dispose()
    return MarkedYaml(data, lines, tuple(problems), text)


def _mark(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    path: KeyPath,
    lines: dict[KeyPath, int],
    problems: list[Problem],
    above: frozenset[int],
) -> None:
    if id(node) in above:
        raise yaml.constructor.ConstructorError(None, None, "an alias stands within itself", node.start_mark)
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[*path, position] = item.start_mark.line + 1
            _mark(loader, item, (*path, position), lines, problems, above)
    elif isinstance(node, yaml.MappingNode):
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word", key_node.start_mark
                )
        problems += _repeated(node)
        loader.flatten_mapping(node)  # `<<` brings in the keys of another mapping
        for key_node, value in node.value:
            key = _as_text(loader.construct_object(key_node, deep=True))
            lines[*path, key] = key_node.start_mark.line + 1
            _mark(loader, value, (*path, key), lines, problems, above)


def _as_text(key: Any) -> str:
    """Keys of a `ray up` file are words; YAML takes some for numbers, dates or yes and no."""
    return key if isinstance(key, str) else str(key)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_as_text(key): _with_text_keys(each) for key, each in value.items()}
    return [_with_text_keys(each) for each in value] if isinstance(value, list) else value


def _repeated(node: yaml.MappingNode) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in first:
            problems.append(
                Problem(
                    line,
                    f"the key {key.value} stands here again, and this one would win",
                    f"it once, as on line {first[key.value]}",
                    "delete one of the two",
                )
            )
        first.setdefault(key.value, line)
    return problems


def _unreadable(error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or type(error).__name__
    return Problem(
        1 if mark is None else mark.line + 1,
        f"this is not YAML: {what}",
        "one YAML document",
        "mend the indentation, quotes or brackets here or just above",
    )
