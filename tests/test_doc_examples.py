"""Examples of README, CONTRIBUTING, CHANGELOG and docs/ work: commands, study files, SQL and Python."""

import ast
import inspect
import itertools
import re
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from pages import (
    BLOCKS,
    FILES,
    ROOT,
    blocks_of,
    commands_in,
    name_of,
    prose_of,
    sql_of,
    text_of,
    words_of,
)
from run_folders import random_run, small_study
from trees import nodes_of
from typer.core import TyperCommand
from typer.main import get_command

import hnscc
from hnscc.aggregation.build import write_tables
from hnscc.aggregation.query import query
from hnscc.aggregation.schemas import SEARCH_TABLES, STUDY_TABLES, schema
from hnscc.commands.cli import app
from hnscc.commands.docs import PAGES
from hnscc.study.loading import parse_study
from hnscc.study.run_folder import RunFolder

# Commands


SHELL = [
    pytest.param(command, id=f"{name_of(block)} {command[:60]}")
    for block in BLOCKS
    if block.language in {"", "bash", "sh"}
    for command in commands_in(block.text)
    if re.match(r"hnscc\s|make\s|python ", command) or "python -m" in command
]
INLINE = [
    pytest.param(command, id=f"{file} {command}")
    for file in FILES
    for command in sorted(set(re.findall(r"`((?:hnscc|make) [^`]+)`", prose_of(file))))
]
COMMANDS = get_command(app).commands
USAGE_ERROR = typer.BadParameter.__base__


def command_named(words: list[str]) -> TyperCommand:
    assert words[1] in COMMANDS, f"there is no command {words[1]}"
    return COMMANDS[words[1]]


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert words[1] in targets, f"there is no target {words[1]}"


def source_of(module: str) -> Path:
    """The file of a module, or of the one whose `main` it runs."""
    spec = find_spec(module)
    assert spec and spec.origin, f"there is no module {module}"
    behind = re.search(r"^from ([\w.]+) import main$", Path(spec.origin).read_text(), re.MULTILINE)
    return source_of(behind[1]) if behind else Path(spec.origin)


def check_python(words: list[str]) -> None:
    """A module or script of this repository is there, and its options are named in it."""
    words = words[words.index("python") :]
    source = source_of(words[2]) if words[1] == "-m" else ROOT / words[1]
    for option in [each.partition("=")[0] for each in words[2:] if each.startswith("--")]:
        assert f'"{option}"' in source.read_text(), f"{source.name} has no option {option}"


@pytest.mark.parametrize("command", SHELL)
def test_a_command_in_an_example_is_one_that_the_program_takes(command):
    words = words_of(command)
    if words[0] == "hnscc" and not words[1].startswith("-"):
        # Parses arguments, options and their types; nothing runs.
        command_named(words).make_context(words[1], words[2:])
    elif words[0] == "make":
        check_make(words)
    elif "python" in words and "-c" not in words and "pip" not in words:
        check_python(words)


@pytest.mark.parametrize("command", INLINE)
def test_a_command_in_a_sentence_exists_with_its_options(command):
    words = command.split()
    if words[0] == "make":
        check_make(words)
    elif not words[1].startswith("-"):
        known = {option for each in command_named(words).params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_a_wrong_command_is_found():
    with pytest.raises(USAGE_ERROR, match="No such option: --lmit"):
        COMMANDS["run"].make_context("run", ["mine.yaml", "--lmit", "3"])
    with pytest.raises(AssertionError, match="no command trian"):
        command_named(["hnscc", "trian"])
    assert len(SHELL) > 40 and len(INLINE) > 40
    assert commands_in('hnscc query RUN "SELECT 1,\n  2"\nray x -- \\\n  python -m y') == [
        'hnscc query RUN "SELECT 1, 2"',
        "ray x -- python -m y",
    ]


# Study files and SQL


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "yaml"], ids=name_of)
def test_a_study_file_in_an_example_holds_settings_that_exist(block):
    given = yaml.safe_load(block.text)
    rest = {"name": "x", "store": "x.zarr"}
    rest |= {"modalities": ["pet"]} if "search" in given else {}
    parse_study(rest | given)


SQL = sorted({sql for file in FILES for sql in sql_of(file) if sql.startswith(("SELECT", "DESCRIBE"))})


@pytest.fixture(scope="module")
def empty_runs(tmp_path_factory) -> dict[str, RunFolder]:
    """The tables of a study and of a search, without rows; of the search, with a column of a setting."""
    runs = {}
    for kind, names in (("study", STUDY_TABLES), ("search", SEARCH_TABLES)):
        run = RunFolder(tmp_path_factory.mktemp(kind))
        run.tables.mkdir()
        for name in names:
            fields = schema(name)
            if name == "configurations":
                fields = fields.append(pa.field("learning_rate", pa.float64()))
            pq.write_table(fields.empty_table(), run.table(name))
        runs[kind] = run
    runs["search"].search.write_text("{}")
    return runs


@pytest.mark.parametrize("sql", SQL)
def test_sql_in_an_example_asks_for_columns_that_exist(sql, empty_runs):
    query(empty_runs["search" if "configurations" in sql else "study"], sql)


# Python


PYTHON = [each for each in BLOCKS if each.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=name_of)
def test_python_in_an_example_calls_functions_by_parameters_that_they_have(block):
    """A signature with annotations, as the reference shows it, is no program."""
    if str(block.file) in PAGES and block.text.startswith("hnscc."):
        return
    for call in nodes_of(block.text):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("hnscc."):
            name = ast.unparse(call.func).removeprefix("hnscc.")
            assert name in hnscc.__all__
            given = {each.arg: each.value for each in call.keywords}
            inspect.signature(getattr(hnscc, name)).bind(*call.args, **given)


def test_python_prints_what_the_page_says(capsys):
    """Of every example that is followed by what it prints. The numbers on the page of statistics were others."""
    shown = [
        (code, text)
        for code, text in itertools.pairwise(BLOCKS)
        if (code.language, text.language, code.file) == ("python", "text", text.file)
    ]
    for code, text in shown:
        exec(compile(code.text, name_of(code), "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out.strip() == text.text.strip(), name_of(code)
    assert [str(code.file) for code, _ in shown] == ["docs/how-to/your-own-numbers.md"]


def test_what_an_example_prints_is_shown_by_such_a_block_alone():
    """Other examples print what depends on the reader's own run; prose must not say what code prints."""
    for block in PYTHON:
        rest = text_of(block.file).split(block.text)[-1].removeprefix("\n```").lstrip()
        assert not re.match(r"(which )?prints? `", rest), name_of(block)


def test_python_that_reads_tables_runs(tmp_path, monkeypatch, capsys):
    run = random_run(tmp_path / "runs" / "demo", small_study(repeats=3))
    write_tables(run)
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(Path("docs/how-to/tables.md")):
        if block.language == "python":
            exec(compile(block.text, name_of(block), "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert "variant and split" in printed and "pet_mri" in printed and "description" in printed
