"""Finds docstrings and comments that were broken by reflowing: tables and lists that lost their lines, stray words."""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator

from trees import nodes_of

ITEM = re.compile(r"(\d+\.|[-*]) +(?=\S)")
# Two columns: text, three blanks or more, and text that is not the comment of a line of code.
COLUMNS = re.compile(r"(?<=\S) {3,}(?=[^\s#])")
SENTENCE_END = re.compile(r"[.!?:][)\"'`]*$")
# A line may end early after one of these; elsewhere it does so only where a tool broke it.
PAUSE = re.compile(r"[.!?:;,)\"'`]$")
# Lines of a docstring that are indented by so many columns or more show code.
CODE = 4
# A line ends early if the next word and so many blanks more would have fitted.
SLACK = 25


def faults(source: str, width: int = 110) -> list[str]:
    """Return what is broken in the docstrings and comments of a Python file; each fault with the line it is
    found in."""
    found = []
    for text, indent in docstrings(source):
        found += [f"{fault}: {line!r}" for fault, line in [*_whole(text), *_broken(text, width - indent)]]
    for text, indent in comments(source):
        found += [f"{fault}: {line!r}" for fault, line in _stray_words(_blocks(text), width - indent)]
    return found


def docstrings(source: str) -> Iterator[tuple[str, int]]:
    """Yield every docstring without the indentation of its code, and how many columns that was."""
    for node in nodes_of(source):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text:
                indent = node.body[0].col_offset
                yield re.sub(rf"^ {{{indent}}}", "", text, flags=re.MULTILINE).strip(), indent


def comments(source: str) -> Iterator[tuple[str, int]]:
    """Yield every run of comment lines in one column, without the `#`, and that column."""
    lines: list[str] = []
    last = (0, 0)
    for start, text in _comment_lines(source):
        if start != (last[0] + 1, last[1]) and lines:
            yield "\n".join(lines), last[1] + 2
            lines = []
        lines.append(text.lstrip("#").strip())
        last = start
    if lines:
        yield "\n".join(lines), last[1] + 2


def _comment_lines(source: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield the line and column of each line that is only a comment, and its text."""
    begin = {at: len(line) - len(line.lstrip()) for at, line in enumerate(source.splitlines(), 1)}
    alike = {at: line.strip() for at, line in enumerate(source.splitlines(), 1) if line.lstrip()[:1] == "#"}
    inside = {
        at
        for node in nodes_of(source)
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for at in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }
    if not inside & alike.keys():
        yield from (((at, begin[at]), text) for at, text in alike.items())
        return
    # A `#` may also stand in a text of several lines, or between its parts, which only the slow tokenizer tells apart.
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            yield token.start, token.string


def _whole(text: str) -> Iterator[tuple[str, str]]:
    """Yield the faults of a docstring as a whole."""
    first = text.split("\n\n")[0]
    if not SENTENCE_END.search(first):
        yield "the first paragraph has no end", first.splitlines()[-1]
    if text.count("`") % 2:
        yield "a backtick stands alone", next(line for line in text.splitlines() if line.count("`") % 2)


def _broken(text: str, width: int) -> Iterator[tuple[str, str]]:
    blocks = _blocks(text)
    for block in blocks:
        if any(COLUMNS.search(line) for line in block):
            yield from _broken_table(block)
        elif any(ITEM.match(line) for line in block):
            yield from _broken_list(block)
    yield from _stray_words(blocks, width)


def _blocks(text: str) -> list[list[str]]:
    """Return the runs of lines between blank ones."""
    return [block.split("\n") for block in re.split(r"\n\s*\n", text)]


def _broken_table(block: list[str]) -> Iterator[tuple[str, str]]:
    """Yield lines of a table whose second column, or what continues a line above, does not begin where it does
    in others."""
    begins = [match.end() if (match := COLUMNS.search(line)) else _indent(line) for line in block]
    column = next(match.end() for line in block if (match := COLUMNS.search(line)))
    for line, begin in zip(block, begins, strict=True):
        if begin != column:
            yield "a line of a table has lost its column", line


def _broken_list(block: list[str]) -> Iterator[tuple[str, str]]:
    """Yield lines that belong to an item of a list, but do not stand below its text."""
    below = None
    for line in block:
        item = ITEM.match(line.lstrip())
        if item:
            below = _indent(line) + item.end()
        elif below is not None and _indent(line) != below:
            yield "a line of a list has lost its item", line


def _stray_words(blocks: list[list[str]], width: int) -> Iterator[tuple[str, str]]:
    """Yield lines of prose that are not filled: a word has a line of its own, or a line ends early without a pause."""
    for block in blocks:
        if any(COLUMNS.search(line) for line in block):
            continue
        for line, below in itertools.pairwise(block):
            words = re.findall(r"\S*\w\S*", below)
            if not words or ITEM.match(below.lstrip()) or _indent(line) >= CODE:
                continue
            if len(words) == 1:
                yield "a word has a line of its own", below
            elif not PAUSE.search(line) and len(line) + 1 + len(words[0]) + SLACK <= width:
                yield "a line ends although the next word fits", line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
