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
            raise _refused(_option(name), "is no yes or no", "True or False", repr(given))


def check_whole(name: str, given: object, least: int | None = None, most: int | None = None) -> None:
    """InputError unless it is a whole number within these limits, where there are any."""
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    if type(given) is not int or not low <= given <= high:
        raise _refused(
            _option(name), "is out of range", f"a whole number{_between(least, most)}", repr(given)
        )


def check_number(name: str, given: object, least: float, most: float, unit: str = "") -> None:
    """InputError unless it is a number within these limits, which a NaN is not. All its digits are told: 1.0000001 is
    not 1."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not least <= given <= most:  # type: ignore[operator]
        found = str(given).removesuffix(".0") if number else repr(given)
        raise _refused(_option(name), "is out of range", f"a number, {least:g} to {most:g}{unit}", found)


def check_one_of(where: str, given: object, choices: Sequence[str]) -> None:
    """InputError unless it is one of these words. where: the option or what else says it."""
    if given not in choices:
        raise _refused(where, "is unknown", " or ".join(choices), str(given))


def check_list(name: str, given: object, expected: str) -> None:
    """InputError for one text, whose letters Python would take one by one. expected: what is to be listed."""
    if isinstance(given, str):
        raise _refused(_option(name), "is one text", expected, repr(given))


def _between(least: int | None, most: int | None) -> str:
    if least is None:
        return ""
    return f", {least} or more" if most is None else f", {least} to {most}"


def _option(name: str) -> str:
    """Of a command, as the parameter of the function in Python is called."""
    return f"--{name.replace('_', '-')}"


def _refused(where: str, problem: str, expected: str, found: str) -> InputError:
    do = f"Correct {where} or leave it out."
    return InputError(f"{where} {problem}.", where=where, expected=expected, found=found, do=do)
