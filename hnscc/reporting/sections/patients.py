"""The section "Patients" counts the patients, scans and slices of each split."""

from collections.abc import Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.base.split_names import IN_WORDS, SPLITS
from hnscc.reporting.blocks import Columns, ReportTable, Section, report_table
from hnscc.reporting.source import Source
from hnscc.reporting.values import whole


def patients(source: Source) -> Section:
    """Say how many patients, scans and slices each split has."""
    return Section("Patients", (_cohort_block(source),))


def _cohort_block(source: Source) -> ReportTable:
    return report_table(
        "Patients and slices",
        "The patients of the three splits are different people, unless a warning above says otherwise. "
        "The model learns from the training slices; the validation slices decide when training stops, "
        "which repeat is the median one, and the threshold; the test slices are scored, and decide "
        f"nothing. Scored: {source.scored_in_words}{_validation(source)}.",
        {
            "Split": lambda row: str(row["name"]),
            "Patients": lambda row: whole(row["patients"]),
            "with slices sampled": lambda row: whole(row["sampled"]),
            "with lesion slices sampled": lambda row: whole(row["lesion"]),
            "Scans": lambda row: whole(row["scans"]),
            "Slices sampled: with lesion": lambda row: whole(row["with_lesion"]),
            "without": lambda row: whole(row["without"]),
            **_scored_columns(source),
        },
        list(split_counts(source)),
    )


def _validation(source: Source) -> str:
    """Say whether thresholds and median models are also chosen on whole scans."""
    return ", and as well of the validation scans" if "validation" in source.study.whole_splits else ""


def _scored_columns(source: Source) -> Columns:
    """Return the columns that say how many slices are scored, where these are more than the sampled ones."""
    if not source.holds_whole_scans:
        return {}
    return {
        "Slices scored: with lesion": lambda row: whole(row["scored_with_lesion"]),
        "without ": lambda row: whole(row["scored_without"]),
    }


def split_counts(source: Source) -> Iterator[TableRow]:
    """Count the patients, scans and sampled slices of each fold and split.

    patients: all of the split. sampled: patients with sampled slices. lesion: patients whose sampled slices hold
    lesion. with_lesion, without: sampled slices with and without it. scored_with_lesion, scored_without,
    scored_patients and scored_lesion are the same counts over the slices that are scored.
    """
    several_folds = source.study.split.folds > 1
    for fold in range(source.study.split.folds):
        for split in SPLITS:
            rows = source.rows("cohort", fold=fold, split=split)
            sampled = [row for row in rows if row["used_positive"] + row["used_negative"]]
            whole = split in source.study.whole_splits
            yield {
                "name": IN_WORDS[split] + (f", fold {fold}" if several_folds else ""),
                "split": split,
                "patients": len({row["patient_id"] for row in rows}),
                "sampled": len({row["patient_id"] for row in sampled}),
                "lesion": len({row["patient_id"] for row in sampled if row["used_positive"]}),
                "scans": len({row["scan_id"] for row in rows}),
                "with_lesion": sum(row["used_positive"] for row in rows),
                "without": sum(row["used_negative"] for row in rows),
                **_scored(rows if whole else sampled, whole),
            }


def _scored(rows: list[TableRow], every_slice: bool) -> TableRow:
    """Count all slices, or the sampled ones, in rows of table `cohort`."""

    def with_lesion(row: TableRow) -> int:
        return int(row["positive_slices" if every_slice else "used_positive"])

    slices = sum(
        row["slices"] if every_slice else row["used_positive"] + row["used_negative"] for row in rows
    )
    return {
        "scored_with_lesion": sum(map(with_lesion, rows)),
        "scored_without": slices - sum(map(with_lesion, rows)),
        "scored_patients": len({row["patient_id"] for row in rows}),
        "scored_lesion": len({row["patient_id"] for row in rows if with_lesion(row)}),
    }
