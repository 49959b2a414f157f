"""Reads what a command said that refused its input."""


def refused(result: tuple[int, str, str]) -> str:
    code, _, error = result
    assert code == 2, result
    assert error.startswith("error: ")
    several = "faults were found" in error
    for part in ("what to do:",) if several else ("where:", "expected:", "found:", "what to do:"):
        assert error.count(part) == 1 or several, error
    assert "Traceback" not in error
    return error


def advice(error: str) -> str:
    """Return what the message of a refusal tells the user to do."""
    return error.partition("what to do: ")[2].strip()
