"""The report's sections in order: which tables and figures stand where, and what is said to them."""

from collections.abc import Iterator, Mapping
from typing import Any

from hnscc.reporting.blocks import Block, Points, Section, Text, duration, listed
from hnscc.reporting.findings import findings, repeats_planned
from hnscc.reporting.pictures import Gallery
from hnscc.reporting.report_outcomes import (
    CONVENTIONS,
    classification_table,
    reading_outcome_table,
    reading_overlap_table,
)
from hnscc.reporting.report_tables import (
    Source,
    cohort_table,
    comparison_table,
    literature_table,
    per_slice_table,
    pooled_table,
    published_slices_table,
    regression_table,
    training_table,
)
from hnscc.study import paper
from hnscc.study.identity import differences

Facts = Mapping[str, Any]  # of provenance.json and the trials' records; see report.read_facts


def sections(source: Source, gallery: Gallery, facts: Facts) -> list[Section]:
    return [
        findings(source),
        Section("Patients", (cohort_table(source),)),
        Section("Overlap with the reference: the whole test set", tuple(_pooled(source, gallery))),
        Section("Overlap slice by slice", tuple(_per_slice(source))),
        Section("Examples", tuple(_examples(gallery))),
        Section("Finding the slices with lesion", tuple(_classification(source, gallery))),
        Section("The same predictions read in three ways", tuple(_readings(source))),
        Section("Other studies", (_literature(source),)),
        Section("How the training went", tuple(_training(source, gallery))),
        Section("Supplement", tuple(_supplement(source))),
        Section("How this was made", tuple(_provenance(source, facts))),
    ]


def _pictures(gallery: Gallery, *names: str) -> Iterator[Block]:
    for name in names:
        if name in gallery.pictures:
            yield gallery.pictures[name]


def _pooled(source: Source, gallery: Gallery) -> Iterator[Block]:
    beside = f" {PUBLISHED}" if source.papers else ""
    yield pooled_table(source, "Table 1. Overlap over all test slices together", POOLED + beside, "test")
    yield from _pictures(gallery, "repeats", "differences")
    if len(source.looks) < 2:
        yield Text("One variant was trained: there is no difference to show.")


POOLED = (
    "Pooled: all pixels of all test slices are counted together, so large lesions weigh more. First comes "
    "how the score spreads over the repeats of a variant, each at threshold 0.5; then the median model "
    "alone, at the threshold chosen on the validation slices. Its 95 % interval is a bootstrap over "
    "patients: how much the score would move with other patients like these, this one model being fixed. "
    "It does not include the spread over repeats."
)


PUBLISHED = (
    "The published model and threshold were chosen on the test slices; like stands beside like in "
    "the reading `as written`, below."
)


def _per_slice(source: Source) -> Iterator[Block]:
    yield per_slice_table(
        source,
        "Table 2. Overlap slice by slice, test slices",
        PER_SLICE,
        ("test",),
        ("true_positive", "lesion", "all"),
    )
    if source.papers:
        yield published_slices_table(source, "Table 2, as the published study counted it", AS_PUBLISHED)
    if len(source.looks) > 1:
        tests = TESTS + (f" {PUBLISHED_P}" if source.papers else "")
        yield comparison_table(source, "Table 2, tests. Differences in Dice between variants", tests, "dice")
        yield Points("How to read the tests", READ_TESTS)


PER_SLICE = (
    "Each slice is scored by itself, then the mean is taken, so every slice weighs the same. True "
    "positive slices are those on which both reference and model hold a lesion of the cut-off size or "
    "more, also where the model's is beside the lesion: this leaves out every missed lesion, so it flatters. "
    "Slices with lesion count the missed ones "
    "too. All slices also count those without lesion, where an empty prediction scores 1 and any mark "
    "scores 0."
)
AS_PUBLISHED = (
    "The reading `as written`, below: median model and threshold chosen on the test slices, and of the true "
    "positive slices those left out on which model and reference share no pixel."
)
PUBLISHED_P = (
    "The published p compare models and thresholds chosen on the test slices, over true positive slices without "
    "those on which model and reference share no pixel; here these are otherwise chosen and counted."
)
TESTS = (
    "Every pair of variants on the same test slices. Holm's correction makes each p larger for the number "
    "of pairs compared, since among several comparisons one may differ by chance; read the corrected p, "
    "in brackets. The three tests look at different things, so their differences may differ too, even in sign: "
    "the bootstrap at the pixels of all slices together, all repeats at threshold 0.5; the Wilcoxon tests at "
    "patients or slices one by one, the median models at their chosen thresholds."
)
READ_TESTS = (
    "Bootstrap: patients and repeats are drawn again and again, and all repeats are used at threshold "
    "0.5. It answers whether one variant is better for patients and repeats like these. This is the "
    "main answer.",
    "Wilcoxon over patients: each patient's pooled score by the two median models is one pair. It needs at "
    "least 6 patients who differ, and says nothing about other repeats.",
    "Wilcoxon over slices: the paper's test. Slices of one patient resemble each other and are not "
    "independent, so its p is too small; it is given for comparison with the paper.",
)


def _examples(gallery: Gallery) -> Iterator[Block]:
    if gallery.absent:
        yield Text(f"Images of slices are left out: {gallery.absent}.")
    yield from _pictures(gallery, "fig2_good", "fig3_poor")
    if gallery.shown:
        yield gallery.shown


def _classification(source: Source, gallery: Gallery) -> Iterator[Block]:
    cutoff_px = source.study.evaluation.cutoff_px
    yield classification_table(
        source,
        "Table 3. Slices with and without lesion, test slices",
        f"A slice counts as positive from {cutoff_px} pixels on, in the reference and for the model. "
        "Misplaced: both marked that much and share no pixel; the three conventions differ in how they "
        f"count these. Small truths: lesions of 1 to {cutoff_px - 1} pixels, which count as negative. "
        "Median model at its chosen threshold." + (f" {PUBLISHED}" if source.papers else ""),
        "test",
    )
    yield Points("", tuple(CONVENTIONS.values()))
    yield from _pictures(gallery, "fig4_pixels")
    yield regression_table(
        source,
        "Lines of Figure 4",
        "Least squares over all test slices: model's pixels = intercept + slope x reference pixels."
        + (f" {PUBLISHED}" if source.papers else ""),
    )


READ_THREE_WAYS = (
    "The published study leaves choices open, and its authors' code sometimes differs from its text. As written: "
    "what the paper says. As coded: what its code does. Corrected: nothing is chosen on the test slices. The first "
    "two choose the median model and the threshold on the very slices that are scored, and leave missed lesions out "
    "of the mean: their scores look better than new patients would see."
)


def _readings(source: Source) -> Iterator[Block]:
    yield Text(
        f"{READ_THREE_WAYS} All three are read from the same repeats, by the preset `{source.study.protocol}`."
    )
    yield reading_overlap_table(source, "The three readings side by side: overlap, test slices", "")
    yield reading_outcome_table(source, "The three readings side by side: slices with and without lesion", "")
    yield Points("Of `as coded`, not reproduced in training", paper.NOT_REPRODUCED_IN_TRAINING)
    yield Points(
        "Of `as coded`, not reproduced when the scans were prepared", paper.NOT_REPRODUCED_IN_PREPARATION
    )


def _literature(source: Source):
    return literature_table(
        source,
        "Table 4. Mean Dice in other studies",
        "Mean Dice of the true positive test slices here, by the reading `as written`, which is how the "
        "published study counted it (median model and threshold chosen on the test slices, which flatters); the others "
        "counted in their own ways, on other patients, so the numbers are not strictly comparable. "
        "Numbers of patients as tabulated by Liedes et al. 2023; Guo et al. gave a median.",
    )


def _training(source: Source, gallery: Gallery) -> Iterator[Block]:
    each = "The repeats of each fold are counted by themselves. " if source.study.split.folds > 1 else ""
    yield training_table(
        source,
        "Repeats of each variant",
        f"{each}Collapsed: the model marks no pixel of any validation or test slice at threshold 0.5.",
    )
    lost = [row for row in source.tables["trials"] if row["status"] != "completed"]
    if lost:
        yield Points(
            "Repeats that stand in no score",
            tuple(f"`{row['trial_id']}`: {row['status']}; {row['reason']}" for row in lost),
        )
    yield from _pictures(gallery, "learning", "thresholds")


def _supplement(source: Source) -> Iterator[Block]:
    other = ("train", "validation")
    yield per_slice_table(
        source,
        "Table S1. Overlap slice by slice, true negatives, false positives and false negatives included",
        "Like Table 2, over all test slices.",
        ("test",),
        ("all",),
    )
    learnt = "Scores on slices that the model learned from or was chosen by say nothing about new patients."
    yield pooled_table(source, "Table S2. Like Table 1, on training and validation slices", learnt, *other)
    yield per_slice_table(
        source,
        "Table S3. Like Table 2, on training and validation slices",
        learnt,
        other,
        ("true_positive", "lesion", "all"),
    )
    yield classification_table(
        source, "Table S4. Like Table 3, on training and validation slices", learnt, *other
    )
    if len(source.looks) > 1:
        yield comparison_table(
            source,
            "Table S5. Differences in Jaccard between variants, test slices",
            TESTS + (f" {PUBLISHED_P}" if source.papers else ""),
            "jaccard",
        )


def _provenance(source: Source, facts: Facts) -> Iterator[Block]:
    study = source.study
    yield Points("The study", tuple(_settings(source)))
    changed = paper.departures(study)
    nothing = "none"
    yield Points(f"Settings that differ from the preset `{study.protocol}`", tuple(changed) or (nothing,))
    yield Points("What the variants change", tuple(_variants(source)))
    yield Points("The machine and the programs", tuple(_machine(source, facts)))
    yield Text(f"Published study: {paper.CITATION}")


def _settings(source: Source) -> Iterator[str]:
    study, training = source.study, source.study.training
    folds = "hold-out (one split)" if study.split.folds == 1 else f"{study.split.folds} folds"
    repeats = repeats_planned(study)
    yield f"name `{study.name}`, preset `{study.protocol}`, seed {study.seed}, {repeats}, {folds}"
    most = study.sampling.max_positive
    positives = "all positive slices" if most is None else f"at most {most} positive slices"
    negatives = f"negatives from `{study.sampling.negatives}`, {study.sampling.ratio:g} for each positive"
    yield f"sampling: {positives}, {negatives}"
    network = ", ".join(
        f"{key} {value}" for key, value in training.network.model_dump().items() if value is not None
    )
    yield (
        f"network: {network}; {training.loss}, learning rate {training.learning_rate:g}, batch "
        f"{training.batch_size}, at most {training.epochs} epochs, patience {training.patience}, monitor "
        f"`{training.monitor}`"
    )
    yield f"cut-off {study.evaluation.cutoff_px} pixels; {study.evaluation.bootstraps} bootstrap draws"


def _variants(source: Source) -> Iterator[str]:
    base = source.study.model_dump(mode="json")
    for name, variant in base["variants"].items():
        keys = ("augmentation", "training")
        changed = list(differences({key: base[key] for key in keys}, {key: variant[key] for key in keys}))
        images = listed(variant["modalities"])
        yield f"{source.looks[name].label} (`{name}`): images {images}" + "".join(
            f"; {each}" for each in changed
        )


def _machine(source: Source, facts: Facts) -> Iterator[str]:
    seconds = sum(row["seconds"] or 0.0 for row in source.tables["trials"])
    yield f"training time, all repeats added up: {duration(seconds)}"
    for name, values in facts.items():
        yield f"{name}: {', '.join(values)}"
