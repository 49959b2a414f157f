"""README, CONTRIBUTING, CHANGELOG and docs/: links lead somewhere, generated pages are current, examples work."""

import ast
import calendar
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from pages import (
    ROOT,
    anchors_of,
    blocks_of,
    commands_in,
    links_of,
    name_of,
    prose_of,
    sql_of,
    text_of,
    words_of,
)
from run_folders import random_run, small_study
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

FILES = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
INDEX = Path("docs/README.md")
BLOCKS = [block for file in FILES for block in blocks_of(file)]


# Links


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_relative_link_leads_to_a_file_and_a_heading(file):
    for link in links_of(file):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / file.parent / path).resolve() if path else (ROOT / file)
        assert target.is_relative_to(ROOT) and target.exists(), f"{file}: no {link}"
        if anchor:
            assert anchor in anchors_of(target.relative_to(ROOT)), f"{file}: no heading for {link}"


def test_links_are_found_at_all():
    assert "docs/how-to/your-own-scans.md" in links_of(Path("README.md"))
    assert "does-it-find-a-difference-that-is-there" in anchors_of(Path("docs/explanation/results.md"))


def test_the_list_of_pages_names_every_page():
    named = {(INDEX.parent / link.partition("#")[0]) for link in links_of(INDEX)}
    pages = {file for file in FILES if file.parts[0] == "docs" and file != INDEX}
    assert pages <= named


def test_paths_of_the_code_that_a_page_names_are_there():
    """`hnscc/training/losses.py` in backticks, wherever it stands; what is yet to be made is said to be."""
    new: set[str] = set()
    named = re.compile(r"`((?:hnscc|rayjobs|data_prep|tests|studies|benchmarks|deploy)/[\w./*-]+)`")
    for file in FILES:
        if file.name != "CHANGELOG.md":
            for path in set(named.findall(text_of(file))) - new:
                assert any(ROOT.glob(path.rstrip("/"))), f"{file}: no {path}"
    assert not any((ROOT / each).exists() for each in new), "it is there now: it needs no exemption"


def test_the_page_on_architecture_names_every_file():
    told = text_of(Path("docs/explanation/architecture.md"))
    files = told[told.index("## Each wing's files") :]
    whole = {"hnscc/reporting/sections", "hnscc/reporting/drawing", "hnscc/scores/metrics", "rayjobs/doctor"}
    for package in ("hnscc", "rayjobs", "data_prep"):
        for path in (ROOT / package).rglob("*.py"):
            folder = path.parent.relative_to(ROOT).as_posix()
            if path.stem != "__init__" and folder not in whole:
                assert re.search(rf"\b{path.stem}\b", files), f"{path.relative_to(ROOT)} is not named"


# Lines

WIDTH = 120  # of a line of prose; tables and examples are as wide as what they hold


def wide_lines_of(text: str) -> list[str]:
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    ", "!["))]
    return [line for line in prose if len(line) > WIDTH and " " in line.strip()]


# Pages that programs write have lines as wide as they come.
BY_PROGRAMS = {*PAGES, "docs/benchmarks.md"}


@pytest.mark.parametrize("file", [each for each in FILES if str(each) not in BY_PROGRAMS], ids=str)
def test_no_line_of_prose_is_too_wide(file):
    assert wide_lines_of(prose_of(file)) == []


def test_a_line_that_is_too_wide_is_found():
    wide = "word " * 30
    assert wide_lines_of(f"| {wide} |\n    {wide}\n- {wide}\n{'x' * 130}") == [f"- {wide}"]


# Measurements

DATE = re.compile(rf"\b(?:\d{{1,2}} (?:{'|'.join(calendar.month_name[1:])})|20\d\d-\d\d-\d\d)\b")
COMMIT = re.compile(r"\bcommits? [0-9a-f]{7}")


def undated(text: str) -> list[str]:
    """Its paragraphs, rows of tables and items of lists that name a day and no commit."""
    parts = re.split(r"\n\s*\n|\n(?=\||- |\d+\. )", text)
    joined = [" ".join(part.split()) for part in parts]
    return [part for part in joined if DATE.search(part) and not COMMIT.search(part)]


@pytest.mark.parametrize("file", [each for each in FILES if each.name != "CHANGELOG.md"], ids=str)
def test_what_is_dated_names_its_commit(file):
    """A number that was measured on a day can be measured again, and compared, at its commit alone."""
    assert undated(text_of(file)) == []


def test_a_date_without_a_commit_is_found():
    assert undated("Fast\n(23\nNovember 2026, 2 cores).\n\nAs of commit 6e153a8.") == [
        "Fast (23 November 2026, 2 cores)."
    ]
    assert undated("| 3 s | 2026-11-25 |\n| 4 s | 2026-11-25, commit 6e153a8 |") == ["| 3 s | 2026-11-25 |"]
    assert undated("On 25 November 2026 (commits ca1c033 to 448decd), 2 cores.") == []


PERCENTAGE = re.compile(r"\b(\d+(?:\.\d+)?) %")
OF_INTERVALS = {"90", "95"}  # how sure they are, by definition: nothing that was measured


def without_source(text: str) -> list[str]:
    """Its paragraphs that tell a percentage and link to no page that says where it comes from."""
    return [
        part
        for part in re.split(r"\n\s*\n", text)
        if set(PERCENTAGE.findall(part)) - OF_INTERVALS and "](" not in part
    ]


def test_a_percentage_that_python_functions_tell_links_to_where_it_comes_from():
    """A docstring has no room for n, date and commit; the page that it names has them."""
    assert without_source(text_of(Path("docs/reference/python.md"))) == []


def test_a_percentage_without_a_source_is_found():
    bare, linked = "Rejects\n1 to 6 % of studies.", "6 %, see [validity](../explanation/validity.md)"
    assert without_source(f"The 95 % interval.\n\n{bare}\n\n{linked}") == [bare]


# Generated pages


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_page_is_current(page):
    assert text_of(Path(page)) == PAGES[page](), f"{page} is old: `make docs` writes it again"


def test_a_function_that_import_hnscc_offers_stands_on_its_page_with_its_parameters_and_its_words():
    page = text_of(Path("docs/reference/python.md"))
    for name in hnscc.__all__:
        section = page.split(f"\n## hnscc.{name}\n")[1].split("\n## ")[0]
        function = getattr(hnscc, name)
        assert all(f"{each}: " in section for each in inspect.signature(function).parameters)
        assert inspect.cleandoc(function.__doc__) in re.sub(r"\[(docs/\S+)\]\(\S+\)", r"\1", section)


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


def check_python(words: list[str]) -> None:
    """A module or script of this repository is there, and its options are named in it."""
    words = words[words.index("python") :]
    if words[1] == "-m":
        spec = find_spec(words[2])
        assert spec and spec.origin, f"there is no module {words[2]}"
        source = Path(spec.origin)
    else:
        source = ROOT / words[1]
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
    for call in ast.walk(ast.parse(block.text)):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("hnscc."):
            name = ast.unparse(call.func).removeprefix("hnscc.")
            assert name in hnscc.__all__
            given = {each.arg: each.value for each in call.keywords}
            inspect.signature(getattr(hnscc, name)).bind(*call.args, **given)


def test_python_that_reads_tables_runs(tmp_path, monkeypatch, capsys):
    run = random_run(tmp_path / "runs" / "demo", small_study(repeats=3))
    write_tables(run)
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(Path("docs/how-to/tables.md")):
        if block.language == "python":
            exec(compile(block.text, name_of(block), "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert "variant and split" in printed and "pet_mri" in printed and "description" in printed
