"""The section "Patients" counts the patients, scans and slices of each split."""

from collections.abc import Iterator

from hnscc.reporting.blocks import Row, Section, Table, table
from hnscc.reporting.source import Source
from hnscc.reporting.values import whole
from hnscc.study.plan import SPLITS


def patients(source: Source) -> Section:
    """How many patients, scans and slices each split holds."""
    return Section("Patients", (_cohort_table(source),))


def _cohort_table(source: Source) -> Table:
    return table(
        "Patients and slices",
        "The patients of the three splits are different people, unless a warning above says otherwise. "
        "The model learns from the training slices; the validation slices decide when training stops, "
        "which repeat is the median one, and the threshold; the test slices are scored, and decide "
        "nothing.",
        {
            "Split": lambda row: str(row["name"]),
            "Patients": lambda row: whole(row["patients"]),
            "with slices used": lambda row: whole(row["used"]),
            "with lesion slices used": lambda row: whole(row["lesion"]),
            "Scans": lambda row: whole(row["scans"]),
            "Slices with lesion": lambda row: whole(row["positive"]),
            "Slices without": lambda row: whole(row["negative"]),
        },
        list(split_counts(source)),
    )


def split_counts(source: Source) -> Iterator[Row]:
    """Count the patients, scans and used slices of each fold and split.

    `patients` are all of the split, `used` those with used slices, `lesion` those with used slices that hold lesion;
    `positive` and `negative` are used slices with and without lesion.
    """
    several_folds = source.study.split.folds > 1
    for fold in range(source.study.split.folds):
        for split in SPLITS:
            rows = source.rows("cohort", fold=fold, split=split)
            used = [row for row in rows if row["used_positive"] + row["used_negative"]]
            yield {
                "name": {"train": "training"}.get(split, split) + (f", fold {fold}" if several_folds else ""),
                "split": split,
                "patients": len({row["patient_id"] for row in rows}),
                "used": len({row["patient_id"] for row in used}),
                "lesion": len({row["patient_id"] for row in used if row["used_positive"]}),
                "scans": len({row["scan_id"] for row in rows}),
                "positive": sum(row["used_positive"] for row in rows),
                "negative": sum(row["used_negative"] for row in rows),
            }
