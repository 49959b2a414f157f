"""Both pages of a report: self-contained, alike, the same bytes again, and without a path or a name."""

import base64
import re

import pytest
from reports import Page, report
from run_folders import (
    random_run,
    small_study,
)

from hnscc.reporting.report import FIGURES, write_report


def test_html_loads_nothing_and_runs_nothing(corrected):
    text = corrected.html.read_text()
    tags = Page(text).tags
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")]
        if "src" in attributes:
            assert (
                tag == "img" and attributes["src"].startswith("data:image/png;base64,") and attributes["alt"]
            )
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_figure_is_in_both_reports_and_in_both_formats(corrected):
    text, markdown = corrected.html.read_text(), corrected.markdown.read_text()
    for name in FIGURES:
        png = corrected.figure(name).read_bytes()
        assert base64.b64encode(png).decode() in text
        assert f"(figures/{name}.png)" in markdown
        assert corrected.figure(name, "svg").read_bytes().startswith(b"<?xml")
    assert {path.name for path in corrected.figures.iterdir()} == {
        f"{n}.{k}" for n in FIGURES for k in ("png", "svg")
    }


def test_markdown_and_html_hold_the_same_cells(corrected, page):
    lines = [line for line in corrected.markdown.read_text().splitlines() if line.startswith("| PET |")]
    cells = [
        re.sub(r"<sup>.*?</sup>", "", cell).replace("\u00a0", " ").strip()
        for cell in lines[0].split("|")[1:-1]
    ]
    assert cells == page.rows("Table 1. Overlap over all test slices together")[0]


@pytest.mark.slow
def test_the_same_run_folder_gives_the_same_bytes(corrected):
    before = {
        path.name: path.read_bytes()
        for path in (corrected.html, corrected.markdown, *corrected.figures.iterdir())
    }
    write_report(corrected)
    after = {
        path.name: path.read_bytes()
        for path in (corrected.html, corrected.markdown, *corrected.figures.iterdir())
    }
    assert before == after


def test_names_are_pseudonyms_and_no_path_is_shown(corrected, page):
    shown = page.rows("The slices in Figs. 2 and 3")
    assert shown and all(re.fullmatch(r"p\d\d_a", cells[3]) for cells in shown)
    for text in (page.text, corrected.markdown.read_text()):
        assert str(corrected.root.parent) not in text and ".zarr" not in text and ".nii" not in text


def test_signs_in_names_are_shown_as_they_are(tmp_path):
    run = random_run(tmp_path, small_study(repeats=1, name="a_b.c"))
    text, markdown = report(run)
    assert "<h1>Report of the study a_b.c</h1>" in text
    assert markdown.startswith("# Report of the study a\\_b.c\n")
