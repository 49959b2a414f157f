"""Between which limits numbers lie that several commands are asked for, on the command line and in Python."""

from hnscc.base.errors import InputError

SEE = 0.001, 1.0  # a difference in pooled Dice
POWER = 0.5, 0.99
HALF_WIDTH = 1e-6, 1.0  # of an interval of Dice


def refuse_beyond(limits: tuple[float, float], number: float | None, where: str) -> None:
    """Raise InputError for a number beyond its limits, or that is none; None, which asks for nothing, passes."""
    least, most = limits
    if number is not None and not least <= number <= most:
        raise InputError(
            "A number lies beyond its limits.",
            where=where,
            expected=f"a number from {least:g} to {most:g}",
            found=f"{number:g}",
            do="give one between these",
        )
