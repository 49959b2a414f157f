"""The shipped `ray up` files, changed by a line, and what `hnscc doctor` finds in them."""

from pathlib import Path

from rayjobs.doctor import check_cluster

ROOT = Path(__file__).parents[2]
AWS, ONPREM = (ROOT / "cluster.yaml").read_text(), (ROOT / "deploy/onprem.yaml").read_text()
# cluster.yaml after a user has filled it in.
FILLED_IN = AWS.replace("-FILL-IN", "-0123456789abcdef0")


def problems_of(text: str, tmp_path: Path) -> list[tuple[int, str]]:
    """Return the line and text of each problem that the doctor finds in a file of this text."""
    file = tmp_path / "changed.yaml"
    file.write_text(text)
    return [(each.line, each.problem) for each in check_cluster(file).problems]


def changed(text: str, old: str, new: str) -> str:
    """Return the text with the first occurrence of `old` replaced."""
    assert old in text
    return text.replace(old, new, 1)


def line_of(text: str, marker: str, nth: int = 1) -> int:
    """Return the number, from 1, of the nth line that holds the marker."""
    return [number for number, line in enumerate(text.splitlines(), 1) if marker in line][nth - 1]


def assert_named(
    taken_away: tuple[str, str, str, str], folder: Path, *, nth: int = 1, findings: int = 1
) -> None:
    """Assert that a text that is taken away from cluster.yaml is found: as the first of so many findings, in the nth
    line that holds the mark.

    taken_away: the text that goes, what stands there instead, the mark, and what the finding says.
    """
    old, new, mark, finding = taken_away
    text = changed(AWS, old, new)
    found = problems_of(text, folder)
    assert len(found) == findings, found
    assert found[0][0] == line_of(text, mark, nth), found
    assert finding in found[0][1], found
