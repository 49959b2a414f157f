"""Run folder -> report.html, report.md and figures/, for a reader who is no programmer.

Everything comes from tables/, folds/ and the median models' stored predictions; the store gives only the
images below the outlines, and where it cannot be read the report says so and stands without them.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from hnscc.aggregation.query import read_table
from hnscc.aggregation.results import read_split
from hnscc.base.files import write_bytes, write_text
from hnscc.reporting.blocks import Picture, Section
from hnscc.reporting.figures import looks_of
from hnscc.reporting.pictures import NAMES, draw
from hnscc.reporting.report_tables import Source
from hnscc.reporting.sections import sections
from hnscc.study import paper
from hnscc.study.loading import load_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.training.provenance import read_invocations
from hnscc.training.records import read_record

TABLES = (
    "cohort",
    "trials",
    "pooled",
    "per_slice",
    "comparisons",
    "classification",
    "regression",
    "protocol",
)


def write_report(folder: RunFolder) -> None:
    """Write figures/*.png and *.svg, report.md and report.html of a run folder whose tables are written.

    report.html needs no other file and loads nothing. Raises InputError where the study, a table, a fold's
    split.json or provenance.json cannot be read; a store that cannot be read is said in the report instead.
    """
    source = read_source(folder)
    facts = read_facts(folder, source)
    gallery = draw(folder, source)
    content = sections(source, gallery, facts)
    write_pages(folder, f"Report of the study {source.study.name}", content, NAMES, gallery.pictures)


def read_source(folder: RunFolder) -> Source:
    study = load_study(folder.study)
    looks = looks_of({name: paper.label(name, variant) for name, variant in study.variants.items()})
    tables = {name: read_table(folder, name).to_pylist() for name in TABLES}
    return Source(study, tables, looks, _warnings(folder, study))


def _warnings(folder: RunFolder, study: Study) -> list[tuple[int, str]]:
    folds = range(study.split.folds)
    return [(fold, warning) for fold in folds for warning in read_split(folder, fold)["warnings"]]


def read_facts(folder: RunFolder, source: Source) -> dict[str, list[str]]:
    """What provenance.json and the completed trials' records say of machine and programs; each value once.

    InputError where provenance.json is damaged.
    """
    trials = [row["trial_id"] for row in source.tables["trials"] if row["status"] == "completed"]
    records = [record for trial in trials if (record := read_record(folder.trial(trial)))]
    runs = read_invocations(folder)
    facts = {
        "device": [record.device for record in records],
        "precision": [record.precision for record in records],
        "threads per training": [record.threads for record in records],
        "hardware": [_pairs(_mapping(run, "hardware")) for run in runs],
        "commit": [run.get("commit") for run in runs],
        "started": [run.get("started") for run in runs],
        "versions": _versions(
            [*(_mapping(each, "versions") for each in runs), *(each.versions for each in records)]
        ),
    }
    return {name: each for name, values in facts.items() if (each := _once(values))}


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _versions(found: Sequence[Mapping[str, str]]) -> list[str]:
    """Each library with its version, or with all of them where invocations differ."""
    pairs = {(name, str(version)) for each in found for name, version in each.items()}
    return [f"{name} {version}" for name, version in sorted(pairs)]


def _once(values: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def write_pages(
    folder: RunFolder,
    title: str,
    content: Sequence[Section],
    names: Sequence[str],
    pictures: Mapping[str, Picture],
) -> None:
    """Write a report and its figures. names: of all the figures that such a report may have; those of an earlier one
    that it no longer has are removed."""
    for name in names:
        picture = pictures.get(name)
        for kind in ("png", "svg"):
            if picture:
                write_bytes(folder.figure(name, kind), getattr(picture, kind))
            else:
                folder.figure(name, kind).unlink(missing_ok=True)
    write_text(folder.markdown, markdown(title, content))
    write_text(folder.html, html(title, content))


def html(title: str, content: Sequence[Section]) -> str:
    environment = _environment(autoescape=True)
    environment.filters["inline"] = _inline_html
    environment.filters["data"] = lambda png: base64.b64encode(png).decode()
    return environment.get_template("report.html.j2").render(title=title, sections=content)


def markdown(title: str, content: Sequence[Section]) -> str:
    environment = _environment(autoescape=False)
    environment.filters["cell"] = _markdown_cell
    environment.filters["inline"] = _markdown_text
    return environment.get_template("report.md.j2").render(title=title, sections=content)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("hnscc.reporting", "."),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _inline_html(text: str) -> Markup:
    """Escaped text in which `names` between back-quotes are code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return Markup("`").join(parts)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _markdown_text(text: str) -> str:
    """Text in which nothing but back-quotes is markup: names with underscores stay as they are."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        for sign in "\\*_[]<>|#":
            parts[place] = parts[place].replace(sign, "\\" + sign)
    return "`".join(parts)


def _markdown_cell(text: str) -> str:
    return _markdown_text(" ".join(text.split()))
