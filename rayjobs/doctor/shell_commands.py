"""Reads the shell commands of a `ray up` file: with which variables a command runs, and what it installs."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# Words that run the command after them.
_RUNNERS = {"env", "exec", "nohup", "sudo", "time", "command", "then", "else", "do", "{", "!"}


@dataclass(frozen=True)
class Command:
    """A simple command: its words, and the variables that this text sets for it."""

    words: tuple[str, ...]
    variables: dict[str, str]

    def option(self, name: str) -> str | None:
        """Return the value of `--name=value` or `--name value`, the last one; "" for a bare flag at the end;
        None without."""
        value = None
        for word, after in pairwise((*self.words, "")):
            if word.startswith(f"{name}="):
                value = word.partition("=")[2]
            elif word == name:
                value = after
        return value


def simple_commands(text: str, variables: dict[str, str] | None = None) -> Iterator[Command]:
    """The simple commands of a shell text in order, those within `bash -c '...'` too. ValueError: not shell.

    A variable counts for a command if it stands in front of it or was exported before it in this text.
    """
    exported = dict(variables or {})
    for words in _split(text):
        own = dict(exported)
        while words and (words[0] in _RUNNERS or _ASSIGNMENT.fullmatch(words[0])):
            own |= _assigned(words[:1])
            words = words[1:]
        if words[:1] == ["export"]:
            exported |= _assigned(words[1:])
        elif words[:1] == ["unset"]:
            exported = {name: value for name, value in exported.items() if name not in words}
        elif words and not words[0].startswith("#"):
            yield Command(tuple(words), own)
            if PurePosixPath(words[0]).name in ("bash", "sh", "sg", "su"):
                for word in (each for each in words if re.search(r"\s", each)):
                    yield from simple_commands(word, own)


def _assigned(words: Iterable[str]) -> dict[str, str]:
    """The variables that words such as `A=1` set."""
    return {found[1]: found[2] for word in words if (found := _ASSIGNMENT.fullmatch(word))}


def _split(text: str) -> Iterator[list[str]]:
    """The words of each simple command; operators, brackets and line ends part them."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    target = False
    for token in lexer:
        if target:  # where a redirection leads to
            target = False
        elif token and set(token) <= set(";&|()<>\n"):
            target = bool({"<", ">"} & set(token))
            if not target:
                yield words
                words = []
            elif words and words[-1] in ("1", "2"):
                words.pop()
        else:
            words.append(token)
    yield words


def ray_starts(text: str) -> list[Command]:
    """Return the `ray start` commands of a shell text, also those that another command runs. ValueError: not shell."""
    found = []
    for command in simple_commands(text):
        for position, (word, after) in enumerate(pairwise(command.words)):
            if PurePosixPath(word).name == "ray" and after == "start" and command.words[0] != "echo":
                variables = command.variables | _assigned(command.words[:position])
                found.append(Command(command.words[position:], variables))
    return found


# Options of pip: those that fix versions elsewhere, and all that take a value.
_CONSTRAINED = ("-c", "--constraint", "--constraints", "-r", "--requirement", "--requirements")
_WITH_VALUE = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--prefix"}
_WITH_VALUE |= {"--python", "--timeout", "--retries", "--cache-dir", "--trusted-host", *_CONSTRAINED}


def unpinned(text: str) -> list[str]:
    """Return what the text's `pip install` commands install without a fixed version. ValueError: not shell."""
    found = []
    for command in simple_commands(text):
        for position, (word, after) in enumerate(pairwise(command.words)):
            if re.fullmatch(r"pip[0-9.]*", PurePosixPath(word).name) and after == "install":
                found += _unpinned_requirements(command.words[position + 2 :])
                break
    return found


def _unpinned_requirements(words: tuple[str, ...]) -> list[str]:
    fixed_elsewhere = any(word.partition("=")[0] in _CONSTRAINED for word in words)
    found, skip = [], False
    for word in words:
        if skip or word.startswith("-"):
            skip = word in _WITH_VALUE and not skip
        elif not _is_fixed(word.partition(";")[0].strip(), fixed_elsewhere):
            found.append(word)
    return found


def _is_fixed(requirement: str, fixed_elsewhere: bool) -> bool:
    if "://" in requirement:
        return "#sha256=" in requirement or (fixed_elsewhere and "latest" not in requirement)
    return fixed_elsewhere or bool(re.search(r"[^<>!~=]={2,3}\s*[^*,\s]+$", requirement))
