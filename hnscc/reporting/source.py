"""The contents of a study's report: the rows of its tables, the study, and the label of each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.query import chosen_k, read_table
from hnscc.base.in_words import Sentence, count_of
from hnscc.cohort.split_file import read_split
from hnscc.reporting.plotting.style import Appearances, appearances_of
from hnscc.scores.counts import HALF, k_of
from hnscc.study import paper
from hnscc.study.loading import kept_study
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study

TABLES = (
    "cohort",
    "trials",
    "pooled",
    "means",
    "per_slice",
    "comparisons",
    "classification",
    "regression",
    "protocol",
    "scans",
    "patients",
    "drawn_scans",
    "detection",
)
SET_IN_WORDS = {
    "true_positive": "true positive slices",
    "lesion": "slices with lesion",
    "all": "all slices",
    "partial": "slices whose Dice is neither 0 nor 1",
}


@dataclass(frozen=True)
class Source:
    """What every section reads.

    tables: the rows of the smaller tables, by name. median_slices: the test rows of table `slices` that belong to the
    median models. appearances: the label and colour of each variant, in the study's order. warnings: what the divisions
    of the folds warn of, as pairs of fold and sentence. odd: what `hnscc prepare` found odd about the scans. chosen:
    the median models' thresholds, as k of k / 1000 by variant and fold, where one was chosen.
    """

    run: RunFolder
    study: Study
    tables: Mapping[str, Sequence[TableRow]]
    median_slices: Sequence[TableRow]
    appearances: Appearances
    warnings: Sequence[tuple[int, Sentence]]
    odd: Sequence[str]
    chosen: Mapping[tuple[str, int], int]

    def rows(self, name: str, **values: Any) -> list[TableRow]:
        """Return the rows of a table whose columns have these values."""
        return [row for row in self.tables[name] if all(row[key] == value for key, value in values.items())]

    def row(self, name: str, **values: Any) -> TableRow | None:
        """Return the first row of a table whose columns have these values, or None."""
        return next(iter(self.rows(name, **values)), None)

    @property
    def holds_whole_scans(self) -> bool:
        """Whether every slice of the test scans is scored; else only the sampled ones are."""
        return bool(self.study.whole_splits)

    @property
    def scored_in_words(self) -> str:
        """A text that says which slices of the test scans were scored."""
        tested = self.rows("cohort", split="test")
        if not self.holds_whole_scans:
            slices = sum(row["used_positive"] + row["used_negative"] for row in tested)
            return f"the {count_of(slices, 'sampled slice')} of the test scans"
        slices = sum(row["slices"] for row in tested)
        return f"every slice of {count_of(len(tested), 'test scan')} ({count_of(slices, 'slice')})"

    @property
    def papers(self) -> bool:
        """Whether published values may stand beside the study's own."""
        return paper.is_papers_study(self.study)

    def label(self, row: TableRow) -> str:
        """Return what the row's variant is called."""
        return self.appearances[row["variant"]].label


def read_source(run: RunFolder) -> Source:
    """Read everything from which the report is made.

    Raises InputError where the study, a table or a fold's split.json cannot be read.
    """
    study = kept_study(run)
    appearances = appearances_of(
        {name: paper.label(name, variant) for name, variant in study.variants.items()}
    )
    tables = {name: read_table(run, name).to_pylist() for name in TABLES}
    chosen = chosen_k(run)
    slices = _median_slices(run, tables["trials"], chosen)
    splits = [read_split(run.fold(fold)) for fold in range(study.split.folds)]
    warnings = [(fold, warning) for fold, split in enumerate(splits) for warning in split.told]
    # What is odd is the same for every fold; run folders of earlier versions do not say it.
    return Source(
        run=run,
        study=study,
        tables=tables,
        median_slices=slices,
        appearances=appearances,
        warnings=warnings,
        odd=splits[0].odd,
        chosen=chosen,
    )


def at_chosen(rows: Sequence[TableRow], chosen: Mapping[tuple[str, int], int]) -> list[TableRow]:
    """Return those rows of median models that are at the chosen threshold, or at 0.5 where none is chosen."""
    return [row for row in rows if k_of(row["threshold"]) == chosen.get((row["variant"], row["fold"]), HALF)]


def _median_slices(
    run: RunFolder, trials: Sequence[TableRow], chosen: Mapping[tuple[str, int], int]
) -> list[TableRow]:
    """Return the median models' test rows of table `slices`, at their own thresholds (`at_chosen`)."""
    medians = [row["trial_id"] for row in trials if row["is_median"]]
    rows = read_table(run, "slices")
    wanted = pc.and_(
        pc.is_in(rows["trial_id"], pa.array(medians, pa.string())), pc.equal(rows["split"], "test")
    )
    return at_chosen(rows.filter(wanted).to_pylist(), chosen)
