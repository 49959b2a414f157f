"""Write a report's sections as one HTML page, as one Markdown page, and their figures as files of their own."""

import base64
from collections.abc import Sequence

import jinja2
from markupsafe import Markup, escape

from hnscc.base.files import write_bytes, write_text
from hnscc.reporting.blocks import Picture, Section
from hnscc.study.run_folder import RunFolder


def write_pages(run: RunFolder, title: str, sections: Sequence[Section], figures: Sequence[str]) -> None:
    """Write report.html, report.md and figures/*.png and *.svg of a run folder.

    report.html needs no other file and loads nothing. `figures` names every figure that such a report may have: those
    of an earlier report that this one no longer has are removed.
    """
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    for picture in pictures:
        write_bytes(run.figure(picture.name, "png"), picture.png)
        write_bytes(run.figure(picture.name, "svg"), picture.svg)
    for name in set(figures) - {picture.name for picture in pictures}:
        for kind in ("png", "svg"):
            run.figure(name, kind).unlink(missing_ok=True)
    write_text(run.markdown, markdown(title, sections))
    write_text(run.html, html(title, sections))


def html(title: str, sections: Sequence[Section]) -> str:
    """Return the report as one HTML page with its figures inside."""
    environment = _environment(autoescape=True)
    environment.filters["inline"] = _inline_html
    environment.filters["data"] = lambda png: base64.b64encode(png).decode()
    return environment.get_template("report.html.j2").render(title=title, sections=sections)


def markdown(title: str, sections: Sequence[Section]) -> str:
    """Return the report as Markdown, which shows the figures from figures/."""
    environment = _environment(autoescape=False)
    environment.filters["cell"] = _markdown_cell
    environment.filters["inline"] = _markdown_text
    return environment.get_template("report.md.j2").render(title=title, sections=sections)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hnscc.reporting", "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _inline_html(text: str) -> Markup:
    """Return escaped text in which `names` between back-quotes are code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return Markup("`").join(parts)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(parts)
    )


def _markdown_text(text: str) -> str:
    """Return text in which nothing but back-quotes is markup: names with underscores stay as they are."""
    parts = text.split("`")
    for position in range(0, len(parts), 2):
        for sign in "\\*_[]<>|#":
            parts[position] = parts[position].replace(sign, "\\" + sign)
    return "`".join(parts)


def _markdown_cell(text: str) -> str:
    return _markdown_text(" ".join(text.split()))
