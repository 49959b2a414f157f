"""What the study asked, what it found and how sure that is, in plain words and from the tables alone."""

from collections.abc import Iterator

from hnscc import paper
from hnscc.blocks import Points, Row, Section, Text, listed, p_value, score, several, signed
from hnscc.report_tables import Source, split_counts
from hnscc.stats import FEWEST_PAIRS

DICE = (
    "Dice measures how far the model's outline and the reference outline, that of the scan's mask, overlap: 1 is "
    "the same outline, 0 is no common pixel. Jaccard measures the same on a stricter scale."
)
FEWEST_QUARTERED = 5
FEW_LESION_PATIENTS = 10  # in simulation, 95 % intervals of 10 patients hold 90 times in 100, of 5 but 83
HARDLY_ANY = 0.1
SURE = 0.05


def findings(source: Source) -> Section:
    return Section(
        "In brief",
        (
            Points("What was asked", tuple(_asked(source))),
            Points("What was found", tuple(_found(source))),
            *([Points("Differences in test Dice", pairs)] if (pairs := tuple(_compared(source))) else []),
            Points("How sure this is", tuple(_sure(source))),
            Text(DICE),
        ),
    )


def _asked(source: Source) -> Iterator[str]:
    study = source.study
    labels = listed([look.label for look in source.looks.values()])
    if len(source.looks) > 1:
        yield f"Which images let a model outline tumour best? Compared: {labels}."
    else:
        yield f"How well does a model outline tumour? One variant was trained, {labels}: nothing is compared."
    many = several(study.repeats, "time", "times")
    yield (
        f"Each variant was to be trained {many}{_folds(source)}, since trainings that differ by chance "
        "alone give different results. The middle one by validation score, the median model, stands for "
        "its variant."
    )


def _folds(source: Source) -> str:
    folds = source.study.split.folds
    return f" in each of {folds} folds, by which every patient is tested once" if folds > 1 else ""


def _found(source: Source) -> Iterator[str]:
    for row in source.rows("pooled", split="test"):
        yield _variant(source, row)


def _variant(source: Source, row: Row) -> str:
    name = source.label(row)
    if row["dice_repeats_median"] is None:
        return f"{name}: no result ({row['reason']})."
    found = f"{name}: test Dice {score(row['dice_repeats_median'])} {_spread(row)}"
    if row["collapsed"]:
        return f"{found} {_collapse(source, row)}"
    if alone := _collapsed_folds(source, row):
        return f"{found} {alone}"
    return f"{found} It found hardly any lesion." if row["dice_repeats_median"] < HARDLY_ANY else found


def _spread(row: Row) -> str:
    """How far the trainings lie apart; quartiles only of as many as can be divided by them."""
    if row["repeats"] < 2:
        return "in the only training completed; one tells nothing of the spread."
    few = row["repeats"] < FEWEST_QUARTERED
    low, high = (score(row[f"dice_repeats_{key}"]) for key in (("min", "max") if few else ("q25", "q75")))
    said = f"all between {low} and {high}" if few else f"half of them between {low} and {high}"
    return f"in the middle of {row['repeats']} trainings ({said})."


def _collapse(source: Source, row: Row) -> str:
    """The evidence that a variant's median model collapsed, in every fold."""
    folds = source.study.split.folds
    who = (
        f"The median models of all {folds} folds collapsed: they"
        if folds > 1
        else "The median model collapsed: it"
    )
    said = (
        f"{who} marked no pixel of any validation or test slice at threshold 0.5 "
        f"(highest probability {score(row['highest_probability'])})."
    )
    if row["threshold"] is None or row["dice"] is None:
        return said
    threshold, dice = score(row["threshold"]), score(row["dice"])
    return f"{said} At the threshold chosen on validation, {threshold}, its test Dice is {dice}."


def _collapsed_folds(source: Source, row: Row) -> str | None:
    """The folds in which alone the median model collapsed, each with its own evidence."""
    lost = source.rows("trials", variant=row["variant"], is_median=True, collapsed=True)
    if not lost:
        return None
    each = listed([f"fold {one['fold']} ({score(one['highest_probability'])})" for one in lost])
    return (
        f"In {len(lost)} of {source.study.split.folds} folds the median model collapsed: it marked no pixel of "
        f"any validation or test slice at threshold 0.5. Highest probability: {each}."
    )


def lesion_patients(source: Source) -> int:
    """Test patients with lesion slices used, over all folds."""
    return sum(row["lesion"] for row in split_counts(source) if row["split"] == "test")


def _compared(source: Source) -> Iterator[str]:
    """What can be said of each pair's difference in pooled test Dice, over all trainings."""
    lesion = lesion_patients(source)
    found = set()
    for row in source.rows("comparisons", metric="dice", slice_set="all", unit="patient", method="bootstrap"):
        found.add(verdict(row, lesion))
        yield f"{_difference(source, row)}: {VERDICTS[verdict(row, lesion)]}"
    if "open" in found:
        yield "Where no difference is shown there may be one all the same: the interval says how large."


VERDICTS = {
    "clear": "the difference holds up, for patients and trainings like these.",
    "suggestive": "a hint; it does not hold up once corrected for the number of comparisons.",
    "few": "so few patients with lesion cannot tell.",
    "untested": "the interval leaves out 0, but there is no test.",
    "open": "no difference shown.",
    "lone": "no interval, so it says little.",
    "none": "not comparable.",
}


def verdict(row: Row, lesion: int) -> str:
    """What a bootstrapped difference allows to say: one of the names of VERDICTS. lesion: test patients with it."""
    if row["difference"] is None:
        return "none"
    if lesion < FEWEST_PAIRS:
        return "few"
    if row["low"] is None:
        return "lone"
    if row["low"] <= 0 <= row["high"]:
        return "open"
    if row["p_holm"] is None:
        return "untested"
    return "clear" if row["p_holm"] < SURE else "suggestive"


def _difference(source: Source, row: Row) -> str:
    """The better one first, with the difference, its interval and the corrected p."""
    a, b = (source.looks[row[key]].label for key in ("variant_a", "variant_b"))
    value, low, high = row["difference"], row["low"], row["high"]
    if value is None:
        return f"{a} and {b} ({row['reason']})"
    if value < 0:
        a, b, value = b, a, -value
        low, high = (None, None) if low is None else (-high, -low)
    if low is None:
        return f"{a} against {b} {signed(value)} ({row['reason']})"
    p = row["reason"] if row["p_holm"] is None else f"p {p_value(row['p_holm'])} after Holm"
    return f"{a} against {b} {signed(value)} (95 % interval {signed(low)} to {signed(high)}; {p})"


def _sure(source: Source) -> Iterator[str]:
    tested = [row for row in split_counts(source) if row["split"] == "test"]
    patients, lesion, positive, negative = (
        sum(row[key] for row in tested) for key in ("used", "lesion", "positive", "negative")
    )
    yield (
        f"All test scores come from {several(patients, 'patient')}, {lesion} of them with lesion "
        f"({several(positive, 'slice')} with lesion, {negative} without). The unit of evidence is the "
        "patient."
    )
    if not positive:
        yield "No test slice holds lesion: the test Dice says nothing about finding lesions."
    elif lesion < FEWEST_PAIRS:
        few = several(lesion, "patient")
        yield f"{few} with lesion cannot carry a conclusion: another draw of patients may turn it."
    elif lesion < FEW_LESION_PATIENTS:
        yield f"Intervals from {lesion} patients with lesion come out too short: read them as the least doubt there is."
    yield from _trials(source)
    for warning in dict.fromkeys(source.warnings):
        yield f"Split: {warning}."
    if source.papers:
        changed = paper.departures(source.study)
        beside = "Values of the published study stand beside these. Its patients are not public."
        yield beside + (f" Settings that differ from it: {'; '.join(changed)}." if changed else "")
    yield "One cohort was studied: nothing here shows how the models do in another hospital or scanner."


def _trials(source: Source) -> Iterator[str]:
    trials = source.tables["trials"]
    lost = [row for row in trials if row["status"] != "completed"]
    done = len(trials) - len(lost)
    yield f"{done} of {several(len(trials), 'planned training')} completed."
    why: dict[str, list[str]] = {}
    for row in lost:
        why.setdefault(f"{row['status'].capitalize()} ({row['reason']})", []).append(row["trial_id"])
    for reason, names in why.items():
        yield f"{reason}: {_some(names)}."
    collapsed = [row["trial_id"] for row in trials if row["collapsed"]]
    if collapsed:
        yield f"Collapsed trainings (no pixel at or above 0.5 in validation and test): {_some(collapsed)}."


def _some(names: list[str], most: int = 8) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
