"""The report's tables: rows of the run folder's tables, written for a reader, each with what it means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hnscc.reporting.blocks import (
    DASH,
    Cell,
    Columns,
    Row,
    Table,
    between,
    duration,
    known,
    p_value,
    pixels,
    score,
    several,
    signed,
    table,
    whole,
)
from hnscc.reporting.figures import Looks
from hnscc.study import paper
from hnscc.study.schema import Study

SETS = {
    "true_positive": "true positive slices",
    "lesion": "slices with lesion",
    "all": "all slices",
    "partial": "slices whose Dice is neither 0 nor 1",
}
NO_MRI = "the paper's MRI model did not yield segmentation results"


@dataclass(frozen=True)
class Source:
    """What the text is generated from. tables: name -> rows; warnings: (fold, text) of the splits, fold by fold."""

    study: Study
    tables: Mapping[str, Sequence[Row]]
    looks: Looks
    warnings: Sequence[tuple[int, str]]

    def rows(self, name: str, **values: Any) -> list[Row]:
        """The rows of a table whose columns have these values."""
        return [row for row in self.tables[name] if all(row[key] == value for key, value in values.items())]

    def row(self, name: str, **values: Any) -> Row | None:
        return next(iter(self.rows(name, **values)), None)

    @property
    def papers(self) -> bool:
        return paper.is_papers_study(self.study)

    def label(self, row: Row) -> str:
        return self.looks[row["variant"]].label


def cohort_table(source: Source) -> Table:
    return table(
        "Patients and slices",
        "The patients of the three splits are different people, unless a warning above says otherwise. "
        "The model learns from the training slices; the validation slices decide when training stops, "
        "which repeat is the median one, and the threshold; the test slices are scored, and decide "
        "nothing.",
        {
            "Split": lambda row: row["name"],
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
    """Numbers of patients, scans and used slices of each fold and split."""
    several_folds = source.study.split.folds > 1
    for fold in range(source.study.split.folds):
        for split in ("train", "validation", "test"):
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


def quartiles(row: Row, name: str) -> Cell:
    keys = [f"{name}_repeats_{key}" for key in ("median", "q25", "q75")]
    if row[keys[0]] is None:
        return Cell(DASH, row["reason"])
    middle, low, high = (score(row[key]) for key in keys)
    if row["repeats"] < 2:
        return Cell(middle, "one repeat: no spread")
    return Cell(f"{middle} {between(low, high)}")


def interval(row: Row, name: str, write: Callable[[float], str] = score) -> Cell:
    """Value with its interval; an absent end keeps the value and says why."""
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return Cell(DASH, row["reason"])
    if low is None:
        return Cell(f"{write(value)} ({DASH})", row["reason"])
    return Cell(f"{write(value)} {between(write(low), write(high))}")


def repeats(row: Row) -> Cell:
    lost = [several(row[key], key, key) for key in ("failed", "missing") if row[key]]
    return Cell(whole(row["repeats"]), f"{' and '.join(lost)} of the planned trials" if lost else None)


def pooled_table(source: Source, title: str, explanation: str, *splits: str) -> Table:
    columns: Columns = {"Variant": source.label}
    if len(splits) > 1:
        columns["Slices of"] = lambda row: row["split"]
    columns |= {
        "Repeats": repeats,
        "Dice over repeats: median (quartiles)": lambda row: quartiles(row, "dice"),
        "Jaccard over repeats: median (quartiles)": lambda row: quartiles(row, "jaccard"),
        "Median model: threshold": lambda row: known(row, "threshold", score),
        "Median model: Dice (95 % over patients)": lambda row: interval(row, "dice"),
        "Median model: Jaccard (95 % over patients)": lambda row: interval(row, "jaccard"),
    }
    if source.papers and splits == ("test",):
        columns["Published: Dice / Jaccard"] = published("pooled_dice", "pooled_jaccard")
    rows = [row for row in source.tables["pooled"] if row["split"] in splits]
    return table(title, explanation, columns, rows)


def published(*names: str) -> Callable[[Row], str]:
    """The paper's values of a row's variant, with a slash between them."""

    def write(row: Row) -> Cell | str:
        if row["variant"] not in paper.PUBLISHED:
            return Cell(DASH, NO_MRI)
        values = [getattr(paper.PUBLISHED[row["variant"]], name) for name in names]
        if None in values:
            return Cell(DASH, "not published")
        return " / ".join(_published(value) for value in values)

    return write


def _published(value: float | int | tuple[float, float]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.2f} ± {value[1]:.2f}"
    return f"{value:d}" if isinstance(value, int) else f"{value:.2f}"


def mean_sd(row: Row, name: str) -> Cell:
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    if mean is None:
        return Cell(DASH, row["reason"])
    return (
        Cell(f"{score(mean)} ± {DASH}", row["reason"]) if sd is None else Cell(f"{score(mean)} ± {score(sd)}")
    )


def per_slice_table(
    source: Source, title: str, explanation: str, splits: Sequence[str], sets: Sequence[str]
) -> Table:
    columns: Columns = {"Variant": source.label}
    if len(splits) > 1:
        columns["Slices of"] = lambda row: row["split"]
    columns |= {
        "Slices counted": lambda row: SETS[row["slice_set"]],
        "Slices": lambda row: known(row, "n", whole),
        "of these both empty": lambda row: known(row, "n_empty", whole),
        "Patients": lambda row: known(row, "patients", whole),
        "Dice: mean ± SD": lambda row: mean_sd(row, "dice"),
        "Jaccard: mean ± SD": lambda row: mean_sd(row, "jaccard"),
    }
    rows = [row for row in source.tables["per_slice"] if row["split"] in splits and row["slice_set"] in sets]
    return table(title, explanation, columns, rows)


def published_slices_table(source: Source, title: str, explanation: str) -> Table:
    """The reading `as_written` beside the paper's Table 2: like beside like."""

    def mean(name: str) -> Callable[[Row], Cell]:
        return lambda row: mean_sd({**row, f"{name}_mean": row[name]}, name)

    return table(
        title,
        explanation,
        {
            "Variant": source.label,
            "Slices": wholes("n"),
            "of these both empty": wholes("n_empty"),
            "Dice: mean ± SD": mean("dice"),
            "Published: Dice": published("slice_dice"),
            "Jaccard: mean ± SD": mean("jaccard"),
            "Published: Jaccard": published("slice_jaccard"),
        },
        source.rows("protocol", reading="as_written"),
    )


def comparison_table(source: Source, title: str, explanation: str, metric: str) -> Table:
    """One row per slice set and pair, its three tests side by side."""
    rows = [row for row in source.rows("comparisons", metric=metric) if _test(row) == BOOTSTRAP]
    rows.sort(key=lambda row: list(SETS).index(row["slice_set"]))

    def other(row: Row, unit: str) -> Row | None:
        same = {key: row[key] for key in ("variant_a", "variant_b", "metric", "slice_set")}
        return source.row("comparisons", **same, unit=unit, method="wilcoxon")

    columns: Columns = {
        "Pair: first minus second": lambda row: pair(source, row),
        "Slices compared": lambda row: SETS[row["slice_set"]],
        f"Bootstrap: difference in pooled {metric.capitalize()} (95 %)": lambda row: difference(row),
        "Bootstrap p (Holm)": p_and_holm,
        "Patients, Wilcoxon: mean difference; pairs": lambda row: pairs(other(row, "patient")),
        "p (Holm), patients": lambda row: p_and_holm(other(row, "patient")),
        "Slices, Wilcoxon: mean difference; pairs": lambda row: pairs(other(row, "slice")),
        "p (Holm), slices": lambda row: p_and_holm(other(row, "slice")),
    }
    if source.papers:
        columns["Published p (slices)"] = lambda row: _published_p(row, metric)
    return table(title, explanation, columns, rows)


BOOTSTRAP = ("patient", "bootstrap")


def _test(row: Row) -> tuple[str, str]:
    return row["unit"], row["method"]


def pair(source: Source, row: Row) -> str:
    return f"{source.looks[row['variant_a']].label} minus {source.looks[row['variant_b']].label}"


def difference(row: Row) -> Cell:
    return interval(
        {**row, "difference_low": row["low"], "difference_high": row["high"]}, "difference", signed
    )


def pairs(row: Row | None) -> Cell:
    """The mean difference, which may lie the other way from the bootstrap's; how many pairs, and how many differ."""
    if row is None or row["n_nonzero"] is None:
        return known(row, "n", whole)
    return Cell(f"{signed(row['difference'])}; {row['n']}\u00a0pairs, {row['n_nonzero']}\u00a0differ")


def p_and_holm(row: Row | None) -> Cell:
    if row is None or row["p"] is None:
        return known(row, "p", p_value)
    corrected = known(row, "p_holm", p_value)
    return Cell(f"{p_value(row['p'])} ({corrected.text})".replace("< ", "<\u00a0"), corrected.note)


def _published_p(row: Row, metric: str) -> str:
    found = paper.PUBLISHED_P.get(frozenset({row["variant_a"], row["variant_b"]}))
    if found is None or row["slice_set"] != "true_positive":
        return ""
    return f"{found[('dice', 'jaccard').index(metric)]:.3f}"


def wholes(name: str) -> Callable[[Row], Cell]:
    return lambda row: known(row, name, str)


def scores(name: str) -> Callable[[Row], Cell]:
    """Published values come as printed, with fewer decimals than ours."""
    return lambda row: known(row, name, lambda value: value if isinstance(value, str) else score(value))


def regression_table(source: Source, title: str, explanation: str) -> Table:
    columns: Columns = {
        "Variant": source.label,
        "Slices": wholes("n"),
        "Slope": scores("slope"),
        "Intercept (pixels)": lambda row: known(row, "intercept", pixels),
        "R²": scores("r2"),
    }
    if source.papers:
        columns["Published R²"] = published("r2")
    return table(title, explanation, columns, source.rows("regression", split="test"))


def literature_table(source: Source, title: str, explanation: str) -> Table:
    """Table 4: other studies, and a row for each variant of this one."""
    counts = list(split_counts(source))
    sizes = {
        split: number_range([row["patients"] for row in counts if row["split"] == split])
        for split in ("train", "validation", "test")
    }
    own = [
        {"study": f"this study: {source.label(row)}", "own": row, **sizes}
        for row in source.rows("protocol", reading="as_written")
    ]
    others = [*paper.LITERATURE, *([paper.THE_PAPER] if source.papers else [])]
    return table(
        title,
        explanation,
        {
            "Study": lambda row: row["study"],
            "Modalities": lambda row: _modalities(source, row),
            "Patients: training": lambda row: str(row["train"]),
            "validation": lambda row: str(row["validation"]),
            "test": lambda row: str(row["test"]),
            "Mean Dice": lambda row: (
                known(row["own"], "dice", score) if "own" in row else f"{row['dice']:.2f}"
            ),
        },
        [*(vars(each) for each in others), *own],
    )


def _modalities(source: Source, row: Row) -> str:
    if "own" not in row:
        return row["modality"]
    return "-".join(each.upper() for each in source.study.variants[row["own"]["variant"]].modalities)


def number_range(values: Sequence[int]) -> str:
    """One number, or the least and the most of the folds."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def training_table(source: Source, title: str, explanation: str) -> Table:
    def row_of(variant: str) -> Row:
        rows = source.rows("trials", variant=variant)
        done = [row for row in rows if row["status"] == "completed"]
        return {
            "variant": variant,
            **{
                status: sum(row["status"] == status for row in rows)
                for status in ("completed", "failed", "missing")
            },
            "collapsed": sum(bool(row["collapsed"]) for row in done),
            "best": [row["best_epoch"] for row in done],
            "epochs": [row["epochs"] for row in done],
            "median": ", ".join(row["trial_id"] for row in rows if row["is_median"]),
            "seconds": sum(row["seconds"] or 0.0 for row in done),
        }

    none = Cell(DASH, "no completed repeat")
    return table(
        title,
        explanation,
        {
            "Variant": source.label,
            **{
                status.capitalize(): wholes(status)
                for status in ("completed", "failed", "missing", "collapsed")
            },
            "Epochs trained": lambda row: number_range(row["epochs"]) if row["epochs"] else none,
            "Best epoch": lambda row: number_range(row["best"]) if row["best"] else none,
            "Median model": lambda row: row["median"] or none,
            "Training time, all": lambda row: duration(row["seconds"]),
        },
        [row_of(variant) for variant in source.looks],
    )
