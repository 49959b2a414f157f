"""Checks of the arguments that commands and functions are given, by type and limits: Python takes "no" for yes, and
"*" for a list."""

import math
from collections.abc import Sequence

from hnscc.base.errors import InputError

# Between which limits numbers lie that several commands are asked for.
SEE = 0.001, 1.0  # a difference in pooled Dice
POWER = 0.5, 0.99
HALF_WIDTH = 1e-6, 1.0  # of an interval of Dice


def check_flags(**flags: object) -> None:
    """InputError for a flag that is neither True nor False. Each is named as the parameter that it is of."""
    for name, given in flags.items():
        if type(given) is not bool:
            raise _no_such(name, "is no yes or no", "True or False", repr(given))


def check_whole(name: str, given: object, least: int | None = None, most: int | None = None) -> None:
    """InputError unless it is a whole number within these limits, where there are any."""
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    expected = f"a whole number{_between(least, most)}"
    if type(given) is not int:
        raise _no_such(name, "is no whole number", expected, repr(given))
    if not low <= given <= high:
        raise _no_such(name, "is out of range", expected, str(given))


def check_number(name: str, given: object, least: float, most: float, unit: str = "") -> None:
    """InputError unless it is a number within these limits, which a NaN is not. All its digits are told: 1.0000001 is
    not 1."""
    expected = f"a number, {least:g} to {most:g}{unit}"
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise _no_such(name, "is no number", expected, repr(given))
    if not least <= given <= most:
        raise _no_such(name, "is out of range", expected, str(given).removesuffix(".0"))


def check_one_of(where: str, given: object, choices: Sequence[str]) -> None:
    """InputError unless it is one of these words. where: the option or what else says it."""
    if given not in choices:
        raise _refused(where, where, "is unknown", " or ".join(choices), str(given))


def check_text(name: str, given: object, expected: str) -> None:
    """InputError for what is no text. Python alone can give it: a command line has nothing but texts."""
    if not isinstance(given, str):
        raise refused_in_python(name, "is no text", expected, given)


def check_list(name: str, given: object, expected: str) -> None:
    """InputError for what is no list, and for one text, whose letters Python would take one by one. expected: what is
    to be listed."""
    if isinstance(given, str):
        raise _no_such(name, "is one text", expected, repr(given))
    if not isinstance(given, Sequence):
        raise refused_in_python(name, "is no list", expected, given)


def _between(least: int | None, most: int | None) -> str:
    if least is None:
        return ""
    return f", {least} or more" if most is None else f", {least} to {most}"


def refused_in_python(name: str, problem: str, expected: str, given: object) -> InputError:
    """Return the error of what a parameter of a function was given."""
    do = f"Give {expected} as {name}."
    return InputError(f"{name} {problem}.", where=name, expected=expected, found=repr(given), do=do)


def _no_such(name: str, problem: str, expected: str, found: str) -> InputError:
    """The error of what a parameter was given, which the command names as its option and Python by its name."""
    option = f"--{name.replace('_', '-')}"
    return _refused(option, f"{option}, in Python {name}", problem, expected, found)


def _refused(option: str, where: str, problem: str, expected: str, found: str) -> InputError:
    do = f"Correct {option} or leave it out."
    return InputError(f"{option} {problem}.", where=where, expected=expected, found=found, do=do)
