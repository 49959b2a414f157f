"""Builds whole run folders on small stores and their reports, and reads the HTML."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from run_folders import add_trial, levels_of, noisy_levels
from stores import make_store, study_of

from hnscc.aggregation.build import write_tables
from hnscc.base.files import write_text
from hnscc.cohort.fold import read_folds, write_fold
from hnscc.cohort.splits import divide_cohort
from hnscc.reporting.blocks import Section, html, markdown
from hnscc.reporting.report import write_report
from hnscc.reporting.sections.brief import brief
from hnscc.reporting.sections.patients import patients
from hnscc.reporting.sections.provenance import provenance
from hnscc.reporting.source import Source, read_source
from hnscc.study.loading import dump_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.trials import trials_of

FOUR = {
    "pet": {"modalities": ["pet"]},
    "mri": {"modalities": ["mri"]},
    "pet_mri": {"modalities": ["pet", "mri"]},
    "pet_mri_augmented": {"modalities": ["pet", "mri"], "augmentation": {"copies": 5}},
}


class Page(HTMLParser):
    """A report's tables as {title: rows of cells, the head first}, its tags and its text, without the marks
    of notes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._title = "", ""
        self._place: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag == "p" and ("class", "title") in attributes:
            self._title, self._place = "", "title"
        elif tag == "table":
            self.tables[self._title] = []
        elif tag == "tr":
            self.tables[self._title].append([])
        elif tag in ("td", "th"):
            self.tables[self._title][-1].append("")
            self._place = "cell"
        elif tag == "sup":
            self._place = None

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "p"):
            self._place = None

    def handle_data(self, data: str) -> None:
        data = data.replace("\u00a0", " ")
        self.text += data
        if self._place == "title":
            self._title += data
        elif self._place == "cell":
            self.tables[self._title][-1][-1] += data

    def rows(self, title: str) -> list[list[str]]:
        return self.tables[title][1:]


def store_run(folder: Path, **settings: Any) -> tuple[RunFolder, Study]:
    """Return a run folder on a real store, with its folds and no trial, and its study."""
    store = make_store(folder, patients=18, slices=4, size=24)
    study = study_of(store.location, **settings)
    run = RunFolder(folder / "run")
    write_text(run.study, dump_study(study))
    for number in range(study.split.folds):
        division = divide_cohort(store, study, number)
        write_fold(run.fold(number), store, division, read_folds(store, study, [division])[0])
    return run, study


def fill(run: RunFolder, study: Study, skip: tuple[str, ...] = ()) -> None:
    """Write made-up predictions for every trial except those to skip; the variant `mri` collapses."""
    for trial in trials_of(study):
        if trial.trial_id in skip:
            continue
        fold = run.fold(trial.fold)
        masks = np.load(str(fold.truth))["masks"]
        rng = np.random.default_rng([trial.repeat, len(trial.variant)])
        levels = noisy_levels(masks, rng, noise=0.12)
        if trial.variant == "mri":
            levels = levels_of(np.full(masks.shape, 0.2) + 0.1 * masks)
        split = json.loads(fold.split.read_text())
        facts = {
            "settings": {"data": split["digest"]},
            "others_digest": split["others_digest"],
            "precision": "fp32",
        }
        add_trial(run, study, trial, levels, **facts)


def report(run: RunFolder) -> tuple[str, str]:
    write_tables(run)
    write_report(run)
    return run.html.read_text(), run.markdown.read_text()


def words(run: RunFolder, *others: Callable[[Source], Section]) -> tuple[str, str]:
    """Return HTML and Markdown of what a report says in words, and of these other sections of it. Figures are left out,
    since plotting them takes most of the time of a whole report."""
    write_tables(run)
    source = read_source(run)
    made = [section(source) for section in (brief, patients, *others, provenance)]
    return html(source.study.name, made), markdown(source.study.name, made)
