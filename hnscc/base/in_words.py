"""How messages name things of which there may be many."""

from collections.abc import Sequence
from numbers import Integral


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The names, of which the first `most` are written out, and how many more there are.

    between: what stands before each name but the first; with line breaks, the number of others has a line of its own.
    """
    rest = len(names) - most
    last = between if "\n" in between else " "
    return between.join(names[:most]) + (f"{last}and {rest} more" if rest > 0 else "")


def noun_of(count: float, one: str, many: str | None = None) -> str:
    """The noun of a count, or the verb: `patient` for 1, `patients` for any other."""
    return one if count == 1 else many or one + "s"


def count_of(count: float, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 patient`, `1,464 slices`; of a number that is not whole three digits: `1.5 voxels`."""
    text = f"{count:,}" if isinstance(count, Integral) else f"{count:.3g}"
    return f"{text} {noun_of(1 if text == '1' else 0, one, many)}"


def listed(names: Sequence[str]) -> str:
    """Names in a row: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
