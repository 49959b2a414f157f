"""What the study asked, what it found and how sure that is, in plain words and from the tables alone."""

import re
from collections.abc import Iterator, Sequence

from hnscc.reporting.blocks import Points, Row, Section, Text, listed, p_value, score, several, signed
from hnscc.reporting.report_tables import Source, number_range, pair, split_counts
from hnscc.scores.paired_tests import FEWEST_PAIRS
from hnscc.study import paper
from hnscc.study.schema import Study

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
        yield f"Which images let a model outline the tumour best? Compared: {labels}."
    else:
        yield f"How well does a model outline the tumour? One variant was trained, {labels}: nothing is compared."
    yield (
        f"Each variant was to have {repeats_planned(study)}{_folds(source)}, since repeats that differ "
        "by chance alone give different results. The middle one by validation score, the median model, stands "
        "for its variant."
    )


def repeats_planned(study: Study) -> str:
    """`50 repeats`; of a study that stops once it is precise, by what rule, too."""
    rule = study.repeats
    if isinstance(rule, int):
        return several(rule, "repeat")
    return (
        f"at most {rule.max} repeats, fewer where the 95 % interval of the median of their pooled test Dice reached "
        f"{rule.until:g} or less to either side"
    )


def _folds(source: Source) -> str:
    """What a repeat is, and the folds where there are several."""
    folds = source.study.split.folds
    if folds == 1:
        return " (a repeat is one independent training)"
    return (
        f" (a repeat is one independent training in each fold) in {folds} folds, by which every patient is "
        "tested once"
    )


def _found(source: Source) -> Iterator[str]:
    for row in source.rows("pooled", split="test"):
        yield _variant(source, row)


def _variant(source: Source, row: Row) -> str:
    name = source.label(row)
    if row["dice_repeats_median"] is None:
        return f"{name}: no result ({row['reason']})."
    found = f"{name}: test Dice {score(row['dice_repeats_median'])} {_spread(source, row)}"
    if row["collapsed"]:
        return f"{found} {_collapse(source, row)}"
    if alone := _collapsed_folds(source, row):
        return f"{found} {alone}"
    return f"{found} It found hardly any lesion." if row["dice_repeats_median"] < HARDLY_ANY else found


def _spread(source: Source, row: Row) -> str:
    """How far the repeats lie apart; quartiles only of as many as can be divided by them."""
    if row["repeats"] < 2:
        only = "the only repeat" if source.study.most_repeats == 1 else "the only repeat completed"
        return f"in {only}; one tells nothing of the spread."
    few = row["repeats"] < FEWEST_QUARTERED
    low, high = (score(row[f"dice_repeats_{key}"]) for key in (("min", "max") if few else ("q25", "q75")))
    said = f"all between {low} and {high}" if few else f"half of them between {low} and {high}"
    return f"in the middle of {row['repeats']} repeats ({said})."


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
    """What can be said of each pair's difference in pooled test Dice, over all repeats; the best two first."""
    lesion, best = lesion_patients(source), _best_two(source)
    found = set()
    rows = source.rows("comparisons", metric="dice", slice_set="all", unit="patient", method="bootstrap")
    for row in sorted(rows, key=lambda row: {row["variant_a"], row["variant_b"]} != best):
        found.add(verdict(row, lesion))
        yield f"{_difference(source, row)}: {_higher(source, row)}{VERDICTS[verdict(row, lesion)]}"
    if "open" in found:
        yield "Where no difference is shown there may be one all the same: the interval says how large."


def _best_two(source: Source) -> set[str]:
    """The two variants whose repeats have the highest median test Dice."""
    rows = [row for row in source.rows("pooled", split="test") if row["dice_repeats_median"] is not None]
    rows.sort(key=lambda row: row["dice_repeats_median"], reverse=True)
    return {row["variant"] for row in rows[:2]}


ONE_EACH = "only one repeat each: no interval; set `repeats: 2` or more"
VERDICTS = {
    "clear": "the difference holds up, for patients and repeats like these.",
    "suggestive": "a hint, which does not hold up once corrected for the number of comparisons.",
    "few": "so few patients with lesion cannot tell.",
    "untested": "the interval leaves out 0, but there is no test.",
    "open": "no difference is shown, since the interval includes 0.",
    "lone": "without an interval this says little.",
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


def _higher(source: Source, row: Row) -> str:
    """Which of the pair scored higher, in words."""
    if row["difference"] is None:
        return ""
    if signed(row["difference"]) == signed(0.0):
        return "both scored the same; "
    better = row["variant_a"] if row["difference"] > 0 else row["variant_b"]
    return f"{source.looks[better].label} scored higher; "


def _difference(source: Source, row: Row) -> str:
    """The difference in the direction of the tables, first minus second, its interval and the corrected p."""
    name, value, low, high = pair(source, row), row["difference"], row["low"], row["high"]
    if value is None:
        return f"{name} ({row['reason']})"
    if low is None:
        return f"{name} {signed(value)} ({ONE_EACH if source.study.most_repeats == 1 else row['reason']})"
    p = row["reason"] if row["p_holm"] is None else f"p {p_value(row['p_holm'])} after Holm"
    return f"{name} {signed(value)} (95 % interval {signed(low)} to {signed(high)}; {p})"


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
    yield from _splits(source)
    if source.papers:
        changed = paper.departures(source.study)
        beside = "Values of the published study stand beside these. Its patients are not public."
        yield beside + (f" Settings that differ from it: {'; '.join(changed)}." if changed else "")
    yield "One cohort was studied: nothing here shows how the models do in another hospital or scanner."


def _splits(source: Source) -> Iterator[str]:
    """What the folds' splits warn of, each warning once, and that the folds are pooled."""
    folds = source.study.split.folds
    alike: dict[str, dict[int, str]] = {}
    for fold, warning in source.warnings:
        alike.setdefault(re.sub(r"\d+", "0", warning), {})[fold] = warning
    for found in alike.values():
        names = [str(fold) for fold in found]
        some = f"{'fold' if len(names) == 1 else 'folds'} {listed(names)}"
        where = "" if folds == 1 else f", in {f'all {folds} folds' if len(found) == folds else some}"
        yield f"Split{where}: {merged(list(found.values()))}."
    if folds > 1:
        yield (
            f"The {folds} folds are pooled in the tables of scores: the test slices of all folds are counted "
            "together. Scores of single folds vary more."
        )


def merged(warnings: Sequence[str]) -> str:
    """Warnings that differ in their numbers alone as one, with the least and the most of each number."""
    numbers = zip(*(map(int, re.findall(r"\d+", each)) for each in warnings), strict=True)
    ranges = (number_range(each) for each in numbers)
    text = re.sub(r"\d+", lambda _: next(ranges), warnings[0])
    text = re.sub(r"(?<! to )\b1 (patient|negative slice)s\b", r"1 \1", text)
    return re.sub(r"^train\b", "training", text)


def _trials(source: Source) -> Iterator[str]:
    trials = source.tables["trials"]
    lost = [row for row in trials if row["status"] != "completed"]
    done = len(trials) - len(lost)
    yield f"{done} of {several(len(trials), 'planned training')} completed{_planned(source)}."
    why: dict[str, list[str]] = {}
    for row in lost:
        why.setdefault(f"{row['status'].capitalize()} ({row['reason']})", []).append(row["trial_id"])
    for reason, names in why.items():
        yield f"{reason}: {_some(names)}."
    collapsed = [row["trial_id"] for row in trials if row["collapsed"]]
    if collapsed:
        yield f"Collapsed (no pixel at or above 0.5 in validation and test): {_some(collapsed)}."


def _planned(source: Source) -> str:
    study = source.study
    folds = [f"{study.split.folds} folds"] if study.split.folds > 1 else []
    counts = sorted({study.repeats_of(variant) for variant in study.variants})
    repeats = several(counts[0], "repeat") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} repeats"
    parts = [several(len(source.looks), "variant"), *folds, repeats]
    return f" ({' x '.join(parts)})"


def _some(names: list[str], most: int = 8) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
