"""What a command that refused its input said."""


def refused(result: tuple[int, str, str]) -> str:
    code, _, error = result
    assert code == 2, result
    assert error.startswith("error: ")
    for part in ("where:", "expected:", "found:", "what to do:"):
        assert error.count(part) == 1, error
    assert "Traceback" not in error
    return error


def advice(error: str) -> str:
    """What the message of a refusal says is to be done."""
    return error.partition("what to do: ")[2].strip()
