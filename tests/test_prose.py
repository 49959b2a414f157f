"""No product code reads a sentence back that this project wrote: what decides is data, the sentence is only shown."""

import ast
from pathlib import Path

import pytest
from trees import nodes_of

ROOT = Path(__file__).parent.parent
FILES = [path for part in ("hnscc", "rayjobs", "data_prep") for path in sorted((ROOT / part).rglob("*.py"))]
TOLD = {
    "reason",
    "text",
    "problem",
    "found",
    "expected",
    "do",
    "message",
    "warning",
    "odd",
    "told",
    "mask_told",
}
TAKEN_APART = {
    "startswith",
    "endswith",
    "partition",
    "rpartition",
    "split",
    "removeprefix",
    "removesuffix",
    "find",
}
OF_RE = {"search", "match", "fullmatch", "sub", "findall", "split"}
# Texts of libraries that offer nothing else.
OTHERS = {
    "hnscc/aggregation/query.py": "what DuckDB says of a query",
    "rayjobs/doctor/marked_yaml.py": "what ruamel.yaml says of a file",
}


def read_back(source: str) -> list[str]:
    """Where a value of a name in TOLD is compared with words or taken apart."""
    found = []
    for node in nodes_of(source):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_re = ast.unparse(node.func.value) == "re" and node.func.attr in OF_RE
            apart = node.func.attr in TAKEN_APART and node.args  # a bare split() mends white space
            asked = node.args[1:] if of_re else [node.func.value] if apart else []
        elif isinstance(node, ast.Compare) and any(map(_is_prose, [node.left, *node.comparators])):
            asked = [node.left, *node.comparators]
        else:
            continue
        if any(_is_told(part) for each in asked for part in ast.walk(each)):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def _is_prose(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and " " in str(part.value).strip() for part in ast.walk(node))


def _is_told(node: ast.AST) -> bool:
    return (
        (isinstance(node, ast.Name) and node.id in TOLD - {"text"})  # any text is called so
        or (isinstance(node, ast.Attribute) and node.attr in TOLD)
        or (isinstance(node, ast.Constant) and node.value in TOLD)
    )


def test_no_sentence_is_read_back():
    found = {str(path.relative_to(ROOT)): read_back(path.read_text()) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines and path not in OTHERS} == {}
    assert all(found[path] for path in OTHERS), "it needs no exemption"


@pytest.mark.parametrize(
    "line",
    [
        'known = (row.get("reason") or "").startswith(not_used(""))',
        'word = each["text"].partition(" ")[0]',
        'known = cause.found not in ("an NRRD file", "a MetaImage file")',
        're.sub("1 patient", "1 patients", warning)',
        'if problem.problem != "The storage does not answer.": pass',
    ],
)
def test_what_read_sentences_back_before_is_found(line):
    assert read_back(line)
