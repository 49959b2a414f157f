"""README, CONTRIBUTING, CHANGELOG and docs/: links lead somewhere, numbers have a source, generated
pages are current. What examples show: tests/test_doc_examples.py."""

import calendar
import inspect
import json
import re
from pathlib import Path
from statistics import median

import pytest
from pages import (
    FILES,
    ROOT,
    anchors_of,
    links_of,
    prose_of,
    text_of,
)

import hnscc
from hnscc.commands.docs import PAGES
from hnscc.reporting.sections.verdicts import VERDICTS
from hnscc.scores.patient_metrics import PATIENT_METRICS

INDEX = Path("docs/README.md")


# Links


def leads_nowhere(file: Path, link: str) -> bool:
    """A link of that page, to no file, or to no heading of it; whither addresses lead is not asked."""
    path, _, anchor = link.partition("#")
    target = (ROOT / file.parent / path).resolve() if path else (ROOT / file)
    if re.match(r"https?://", link):
        return False
    if not (target.is_relative_to(ROOT) and target.exists()):
        return True
    return bool(anchor) and anchor not in anchors_of(target.relative_to(ROOT))


def test_every_relative_link_leads_to_a_file_and_a_heading():
    assert not [(str(file), link) for file in FILES for link in links_of(file) if leads_nowhere(file, link)]
    assert leads_nowhere(INDEX, "no.md") and leads_nowhere(INDEX, "../README.md#no-heading")


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
    whole = {"hnscc/reporting/sections", "hnscc/reporting/plotting", "hnscc/scores/metrics", "rayjobs/doctor"}
    for package in ("hnscc", "rayjobs", "data_prep"):
        for path in (ROOT / package).rglob("*.py"):
            folder = path.parent.relative_to(ROOT).as_posix()
            if path.stem != "__init__" and folder not in whole:
                assert re.search(rf"\b{path.stem}\b", files), f"{path.relative_to(ROOT)} is not named"


def test_the_page_on_statistics_has_each_sentence_that_a_report_may_say_of_a_pair():
    told = (ROOT / "docs/explanation/statistics.md").read_text()
    part = told[told.index("### What the report says of a pair") :]
    rows = [
        line.strip("|").split("|")
        for line in part.split("## Other tables")[0].splitlines()
        if line.startswith("| ")
    ]
    assert {row[0].strip(): row[2].strip() for row in rows[1:]} == VERDICTS


# Lines

WIDTH = 120  # of a line of prose; tables and examples are as wide as what they hold


def wide_lines_of(text: str) -> list[str]:
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    ", "!["))]
    return [line for line in prose if len(line) > WIDTH and " " in line.strip()]


# Pages that programs write have lines as wide as they come.
BY_PROGRAMS = {*PAGES, "docs/benchmarks.md"}


def test_no_line_of_prose_is_too_wide():
    wide = {str(file): wide_lines_of(prose_of(file)) for file in FILES if str(file) not in BY_PROGRAMS}
    assert not {file: lines for file, lines in wide.items() if lines}


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


def test_what_is_dated_names_its_commit():
    """A number that was measured on a day can be measured again, and compared, at its commit alone."""
    found = {str(file): undated(text_of(file)) for file in FILES if file.name != "CHANGELOG.md"}
    assert not {file: parts for file, parts in found.items() if parts}


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


def test_the_training_speeds_of_the_readme_are_the_medians_that_were_measured():
    """They were of an older commit than those of the benchmarks page once."""
    measured = json.loads((ROOT / "docs" / "benchmarks.json").read_text())["training"]["figures"]
    found = {}
    for network in ("resnet18 Unet", "the paper's network"):
        for precision in ("our best precision", "equal precision"):
            what = f"CPU training, {network}: trainings per hour against the naive loop, {precision}"
            (found[network, precision],) = [each["values"] for each in measured if each["what"] == what]
    (best, equal), (paper, paper_equal) = (
        [found[network, precision] for precision in ("our best precision", "equal precision")]
        for network in ("resnet18 Unet", "the paper's network")
    )
    readme = " ".join((ROOT / "README.md").read_text().split())
    for said in (
        f"{median(best):.1f} times ({min(best):.2f} to {max(best):.2f}, n = {len(best)}) as many trainings per hour",
        f"; {median(equal):.1f} times at equal precision)",
        f"{median(paper):.1f} times with the paper's network ({median(paper_equal):.1f} times)",
    ):
        assert said in readme


def test_the_page_on_statistics_names_every_metric_that_variants_are_compared_by():
    text = text_of(Path("docs/explanation/statistics.md"))
    listed = text[text.index("**Scores of patients** (`metric` ") :].partition(";")[0]
    assert set(re.findall(r"\b[a-z_0-9]+\b", listed)) >= {each.name for each in PATIENT_METRICS}
