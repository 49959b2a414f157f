"""Takes pages of documentation apart: examples, links, headings, and the commands and SQL that they show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))


class Block(NamedTuple):
    """An example: a fenced block with its language, or an indented one, whose language is empty."""

    file: Path
    line: int
    language: str
    text: str


def text_of(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def blocks_of(file: Path) -> Iterator[Block]:
    """Yield the examples of a page, in their order."""
    lines = text_of(file).splitlines()
    number = 0
    while number < len(lines):
        line, start = lines[number], number
        if opened := re.match(r"( *)```(\w*)", line):
            while not lines[number + 1].startswith(f"{opened[1]}```"):
                number += 1
            body = [each.removeprefix(opened[1]) for each in lines[start + 1 : number + 1]]
            yield Block(file, start + 2, opened[2], "\n".join(body))
            number += 2
        elif line.startswith("    ") and not lines[number - 1].strip():
            while number < len(lines) and lines[number].startswith("    "):
                number += 1
            yield Block(file, start + 1, "", "\n".join(each.strip() for each in lines[start:number]))
        else:
            number += 1


def prose_of(file: Path) -> str:
    """Return the page without its fenced examples, whose brackets are no links."""
    return re.sub(r"^ *```.*?^ *```", "", text_of(file), flags=re.DOTALL | re.MULTILINE)


def name_of(block: Block) -> str:
    return f"{block.file}:{block.line}"


def anchors_of(file: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings: lower case, without punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(file), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def links_of(file: Path) -> list[str]:
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "", prose_of(file)))


def commands_in(text: str) -> list[str]:
    """Return the commands of a shell example. Those that backslashes or open quotes continue are on one line."""
    lines, found = text.splitlines(), []
    while lines:
        line = lines.pop(0).strip()
        while lines and (line.endswith("\\") or line.count('"') % 2):
            line = f"{line.removesuffix(chr(92)).rstrip()} {lines.pop(0).strip()}"
        found.append(line.removeprefix("$ "))
    return found


def words_of(command: str) -> list[str]:
    """Return a command's arguments, without the optional ones that a synopsis has in brackets, and without what comes
    after |, > or &&."""
    words = shlex.split(command, comments=True)
    end = next((i for i, word in enumerate(words) if word in {"|", ">", "&&"}), len(words))
    return [word for word in words[:end] if not re.fullmatch(r"\[[A-Z]+\]", word)]


def sql_of(file: Path) -> Iterator[str]:
    yield from re.findall(r"`(SELECT [^`]+)`", text_of(file))
    for block in blocks_of(file):
        for command in commands_in(block.text):
            if command.startswith("hnscc query"):
                yield words_of(command)[3]


BLOCKS = [block for file in FILES for block in blocks_of(file)]
