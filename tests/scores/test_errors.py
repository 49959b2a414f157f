"""Whoever gives a function of `hnscc.scores` what it cannot take is told what to give instead."""

import ast
from pathlib import Path

import pytest

WING = Path(__file__).parents[2] / "hnscc" / "scores"
# What these say is told within another message, which says what to do.
WITHIN = ("glycolysis of ",)


def messages() -> list[tuple[str, str]]:
    """Where a ValueError is raised, and the constant parts of its text."""
    found = []
    for path in sorted(WING.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.exc if isinstance(node, ast.Raise) else None
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id == "ValueError"
            ):
                parts = [each.value for each in ast.walk(call.args[0]) if isinstance(each, ast.Constant)]
                found.append((f"{path.relative_to(WING)}:{node.lineno}", "".join(map(str, parts))))
    return found


@pytest.mark.parametrize(("where", "text"), messages())
def test_a_refusal_says_what_to_do(where, text):
    """After a semicolon, as the statistics of `import hnscc` do; of masks, slices and lesions it was left out."""
    assert text.startswith(WITHIN) or "; " in text, f"{where} says what is wrong, and not what to do"


def test_they_are_found():
    assert len(messages()) > 20
