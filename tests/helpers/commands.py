"""What a command that refused its input said."""


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
    """What the message of a refusal says is to be done."""
    return error.partition("what to do: ")[2].strip()
