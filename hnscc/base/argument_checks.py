"""Checks of the type and the limits of arguments that commands and functions are given. Without them, Python would take
"no" for true, and "*" for a list."""

import math
from collections.abc import Sequence

from hnscc.base.errors import InputError

# The lowest and the highest value of numbers that several commands ask for.
SEE = 0.001, 1.0  # a difference in pooled Dice
POWER = 0.5, 0.99
HALF_WIDTH = 1e-6, 1.0  # of an interval of Dice


def check_flags(**flags: object) -> None:
    """Raise InputError for a flag that is neither True nor False. Flags are given by the names of their parameters."""
    for name, given in flags.items():
        if type(given) is not bool:
            raise _no_such(name, "is no yes or no", "True or False", repr(given))


def check_whole(name: str, given: object, least: int | None = None, most: int | None = None) -> None:
    """Raise InputError unless `given` is a whole number within these limits, if there are any."""
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    expected = f"a whole number{_between(least, most)}"
    if type(given) is not int:
        raise _no_such(name, "is no whole number", expected, repr(given))
    if not low <= given <= high:
        raise _no_such(name, "is out of range", expected, str(given))


def check_number(name: str, given: object, least: float, most: float, unit: str = "") -> None:
    """Raise InputError unless `given` is a number within these limits; NaN never is. The error shows all its digits:
    1.0000001 is not 1."""
    expected = f"a number, {least:g} to {most:g}{unit}"
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise _no_such(name, "is no number", expected, repr(given))
    if not least <= given <= most:
        raise _no_such(name, "is out of range", expected, str(given).removesuffix(".0"))


def check_one_of(where: str, given: object, choices: Sequence[str]) -> None:
    """Raise InputError unless `given` is one of these words. where: the option, or whatever else gives it."""
    if given not in choices:
        raise _refused(where, where, "is unknown", " or ".join(choices), str(given))


def check_list(name: str, given: object, expected: str) -> None:
    """Raise InputError unless `given` is a list. A single text is refused too: Python would take its letters one by
    one. expected: what is to be listed."""
    if isinstance(given, str):
        raise _no_such(name, "is one text", expected, repr(given))
    if not isinstance(given, Sequence):
        raise refused_in_python(name, "is no list", expected, given)


def _between(least: int | None, most: int | None) -> str:
    if least is None:
        return ""
    return f", {least} or more" if most is None else f", {least} to {most}"


def refused_in_python(name: str, problem: str, expected: str, given: object) -> InputError:
    """Return the error about a value that a parameter of a function was given."""
    do = f"Give {expected} as {name}."
    return InputError(f"{name} {problem}.", where=name, expected=expected, found=repr(given), do=do)


def _no_such(name: str, problem: str, expected: str, found: str) -> InputError:
    """Return the error about a value, which names both the command's option and the parameter in Python."""
    option = f"--{name.replace('_', '-')}"
    return _refused(option, f"{option}, in Python {name}", problem, expected, found)


def _refused(option: str, where: str, problem: str, expected: str, found: str) -> InputError:
    do = f"Correct {option} or leave it out."
    return InputError(f"{option} {problem}.", where=where, expected=expected, found=found, do=do)
