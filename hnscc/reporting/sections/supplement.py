"""The section "Supplement" holds tables S1 to S5: further splits, sets of slices and metrics for Tables 1 to 3."""

from collections.abc import Iterator

from hnscc.reporting.blocks import Block, Section
from hnscc.reporting.sections.comparisons import comparison_block
from hnscc.reporting.sections.lesion_slices import classification_block
from hnscc.reporting.sections.overlap import per_slice_block, pooled_block
from hnscc.reporting.source import Source
from hnscc.scores.metrics import DICE, METRICS
from hnscc.scores.slice_sets import SLICE_SETS

LEARNT = "Scores on slices that the model learned from or was chosen by say nothing about new patients."


def supplement(source: Source) -> Section:
    """Write the tables of what Tables 1 to 3 leave out."""
    return Section("Supplement", tuple(_tables(source)))


def _tables(source: Source) -> Iterator[Block]:
    other = ("train", "validation")
    yield per_slice_block(
        source,
        "Table S1. Overlap slice by slice, true negatives, false positives and false negatives included",
        "Like Table 2, over all test slices.",
        ("test",),
        ("all",),
    )
    yield pooled_block(source, "Table S2. Like Table 1, on training and validation slices", LEARNT, *other)
    title = "Table S3. Like Table 2, on training and validation slices"
    yield per_slice_block(source, title, LEARNT, other, SLICE_SETS)
    title = "Table S4. Like Table 3, on training and validation slices"
    yield classification_block(source, title, LEARNT, *other)
    if len(source.appearances) > 1:
        # The report table of Dice already stands beside Table 2.
        others = [metric for metric in METRICS.values() if metric != DICE]
        for number, metric in enumerate(others, start=5):
            title = f"Table S{number}. Differences in {metric.label} between variants, test slices"
            yield comparison_block(source, title, metric)
