"""A `ray up` file's values as Ray reads them, with the line of each key and item, so that a complaint can name it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from hnscc.study.yaml_text import MOST_VALUES

FieldPath = tuple[Any, ...]
_NO_ALIAS = "write what is meant in the place of the alias (`*name`)"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file. Texts hold no value that may be secret, and no path of a patient's file."""

    line: int
    problem: str
    expected: str
    do: str


class NotYamlError(Exception):
    """The text is no YAML document that Ray could use; `problem` says where and why."""

    def __init__(self, line: int, problem: str, expected: str, do: str) -> None:
        super().__init__(problem)
        self.problem = Problem(line, problem, expected, do)


@dataclass(frozen=True)
class MarkedYaml:
    """A document: `data` as Ray's YAML reader gives it, keys as text; `tree` the same from ruamel.yaml, with lines."""

    data: Any
    tree: Any
    text: str

    def line(self, path: FieldPath, word: str | None = None) -> int:
        """Return the line, from 1, of the key or item at a path, or of the nearest of its parents that the file has.

        word: the first line from there on that holds it, where a long text runs over several.
        """
        tree, first = self.tree, self.tree.lc.line + 1 if hasattr(self.tree, "lc") else 1
        for key in path:
            if (found := _child(tree, key)) is None:
                break
            tree, first = found
        if word is None:
            return first
        start, *later = self.text.splitlines()[first - 1 :]
        span = [start, *takewhile(lambda line: not line.strip() or _indent(line) > _indent(start), later)]
        return next((first + i for i, line in enumerate(span) if word in line), first)


def _child(tree: Any, key: Any) -> tuple[Any, int] | None:
    """A mapping's value or a list's item, and its line; `<<` brings in those of other mappings."""
    positions = getattr(getattr(tree, "lc", None), "data", None) or {}
    for own, position in positions.items():
        if str(own) == str(key):
            return tree[own], position[0] + 1
    merged = getattr(tree, "merge", ())
    return next((found for each in merged if (found := _child(each, key))), None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def read_marked(text: str) -> MarkedYaml:
    """Parse one YAML document. NotYamlError: it is none, or repeats a key, which YAML readers silently let win.

    The values come from PyYAML, for Ray reads the file by it: YAML 1.1, where `yes` is true, and no tags.
    """
    try:
        data, tree = yaml.safe_load(text), YAML().load(text)
    except DuplicateKeyError as error:
        key = error.problem.split('"')[1]  # the rest of this text tells values
        raise NotYamlError(
            error.problem_mark.line + 1,
            f"the key {key} stands here again, and Ray would take one of the two",
            "it once",
            "delete one of the two; the rest of the file is looked at then",
        ) from None
    except (yaml.YAMLError, YAMLError, ValueError, RecursionError) as error:
        mark, why = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        why = {"found unhashable key": "a key must be a word"}.get(str(why), why) or type(error).__name__
        raise _not_yaml(1 if mark is None else mark.line + 1, why) from None
    raw = MarkedYaml(data, tree, text)
    return MarkedYaml(_text_keys(raw, data, (), (), iter(range(MOST_VALUES))), tree, text)


def _not_yaml(
    line: int, why: str, do: str = "mend the indentation, quotes or brackets here or just above"
) -> NotYamlError:
    return NotYamlError(line, f"this is not YAML: {why}", "one YAML document", do)


def _text_keys(
    marked: MarkedYaml, value: Any, path: FieldPath, above: tuple[int, ...], left: Iterator[int]
) -> Any:
    """Return the value with texts for keys: YAML takes some for numbers, dates, or yes and no. left: has an item for
    each value that is still allowed, since a few lines of aliases of aliases would fill the memory."""
    if id(value) in above:
        raise _not_yaml(marked.line(path), "an alias stands within itself", _NO_ALIAS)
    if next(left, None) is None:
        raise _not_yaml(
            marked.line(path), f"more than {MOST_VALUES} values, by aliases of aliases", _NO_ALIAS
        )
    if isinstance(value, dict):
        above = (*above, id(value))
        return {
            str(key): _text_keys(marked, each, (*path, str(key)), above, left) for key, each in value.items()
        }
    if isinstance(value, list):
        above = (*above, id(value))
        return [_text_keys(marked, each, (*path, i), above, left) for i, each in enumerate(value)]
    return value
