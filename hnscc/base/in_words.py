"""How messages name many things at once, and how they write paths in the commands that they advise."""

import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral

# A number and its noun. The noun is empty where the words around it say what is counted.
CountedNoun = tuple[int, str]


@dataclass(frozen=True)
class Sentence:
    """A sentence whose counts are known apart from its words, so that several that differ only in counts can be told as
    one. parts: words, and counts between them."""

    parts: tuple[str | CountedNoun, ...]

    def __str__(self) -> str:
        return told_as_one([self])

    @property
    def kind(self) -> tuple[str | None, ...]:
        """The words without the counts: equal for sentences that `told_as_one` can join."""
        return tuple(part if isinstance(part, str) else None for part in self.parts)


def told_as_one(sentences: Sequence[Sentence]) -> str:
    """Return one sentence for several of one kind, with the least and the highest of each count."""
    return "".join(
        each[0] if isinstance(each[0], str) else _range(each)
        for each in zip(*(sentence.parts for sentence in sentences), strict=True)
    )


def told_of_folds(
    sentences: Iterable[tuple[int, Sentence]], folds: int, name: Callable[[int], str] = str
) -> list[tuple[str, str]]:
    """Return one sentence for each kind, preceded by the folds that it is about (`all 5 folds`, `folds 1 and 2`), in
    the order in which the kinds first occur.

    sentences: each with the number of its fold; no fold has two of one kind. folds: how many there are. name: returns
    the name of a fold.
    """
    every = f"all {count_of(folds, 'fold')}"
    alike: dict[tuple[str | None, ...], dict[int, Sentence]] = {}
    for fold, sentence in sentences:
        alike.setdefault(sentence.kind, {})[fold] = sentence
    return [
        (
            every
            if 1 < folds == len(found)
            else f"{noun_of(len(found), 'fold')} {listed([*map(name, found)])}",
            told_as_one([*found.values()]),
        )
        for found in alike.values()
    ]


def _range(counts: Sequence[CountedNoun]) -> str:
    """Return a count, or the least and the highest of several. A range up to 1 keeps the plural: `0 to 1 patients`."""
    (low, noun), (high, _) = min(counts), max(counts)
    if low != high:
        return f"{low:,} to {f'{high:,} {noun_of(2, noun)}' if noun else f'{high:,}'}"
    return count_of(low, noun) if noun else f"{low:,}"


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Return the first `most` names in a row, and how many more there are.

    between: the text before each name but the first. If it holds a line break, the number of others has a line of
    its own.
    """
    rest = len(names) - most
    last = between if "\n" in between else " "
    return between.join(names[:most]) + (f"{last}and {rest} more" if rest > 0 else "")


def noun_of(count: float, one: str, many: str | None = None) -> str:
    """Return the noun, or the verb, that agrees with a count: `patient` for 1, `patients` for any other."""
    return one if count == 1 else many or one + "s"


def count_of(count: float, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 patient`, `1,464 slices`. A number that is not whole has three digits:
    `1.5 voxels`."""
    text = f"{count:,}" if isinstance(count, Integral) else f"{count:.3g}"
    return f"{text} {noun_of(1 if text == '1' else 0, one, many)}"


def percent_below(share: float, least: float) -> str:
    """Return a share, 0 to 1, in percent: with as many decimals as show that it is less than `least`, one or more."""
    digits = next((each for each in range(1, 16) if f"{share:.{each}%}" != f"{least:.{each}%}"), 16)
    return f"{share:.{digits}%}"


def word_among(text: str, known: Collection[str]) -> str:
    """Return a word from a file if it is one of those that a format knows, else `none` or `another word`: an unknown
    word may be anything, even a person's name."""
    return text if text in known else "another word" if text else "none"


def as_typed(path: object) -> str:
    """Return a path or an address as it is typed in a command: in quotes where a shell would misread it, such as with a
    blank in it."""
    return shlex.quote(str(path))


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names in a row: `a`, `a and b`, `a, b and c`. last: the word before the last name."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
