"""What table `pooled` has of whole scans: precision, and lesions found, of all patients as one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.results import Results
from hnscc.aggregation.whole_patients import NO_LESION, Patients, whole_scans_of
from hnscc.base import fewest
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.crossed import Estimate, fraction_interval
from hnscc.scores.patient_metrics import POOLED_METRICS, PatientMetric, Pooling
from hnscc.scores.scans import together

ONE_REPEAT = "one repeat: no interval over repeats"
NOT_TRAIN = "training scans are not scored whole: no precision, and no lesions found"


def pooled_of_scans(results: Results, variant: str, split: str) -> tuple[TableRow, list[str | None]]:
    """Return the columns of every metric that pools, of one row of table `pooled`, and why there are none."""
    row: TableRow = {}
    reasons: list[str | None] = [] if split in HELD_OUT else [NOT_TRAIN]
    whole = whole_scans_of(results, variant, split) if split in HELD_OUT else None
    for metric in POOLED_METRICS:
        median = repeats = Estimate(None)
        if whole:
            median = _pooled(metric, [whole.median], split) if not whole.no_median else median
            repeats = _pooled(metric, whole.repeats, split) if not whole.no_repeats else repeats
            # An interval over patients alone is no interval over repeats.
            if 0 < len(whole.repeats) < fewest.REPEATS:
                repeats = replace(repeats, low=None, high=None)
                reasons.append(ONE_REPEAT)
            reasons += [whole.no_median, whole.no_repeats, _said(metric, median), _said(metric, repeats)]
        row |= {metric.name: median.value}
        row |= {f"{metric.name}_low": median.low, f"{metric.name}_high": median.high}
        row |= {f"{metric.name}_repeats_mean": repeats.value}
        row |= {f"{metric.name}_repeats_low": repeats.low, f"{metric.name}_repeats_high": repeats.high}
    return row, reasons


def _pooled(metric: PatientMetric, repeats: Sequence[Patients], split: str) -> Estimate:
    """Of one model, or the mean over repeats. It exists wherever a patient has a lesion, whatever is predicted."""
    if not any(score.truth_px for score in repeats[0].values()):
        return Estimate(None, reason=NO_LESION.format(split=split))
    value = float(np.mean([metric.of(together(list(patients.values()))) for patients in repeats]))
    return (
        replace(_over_patients(metric.pooling, repeats), value=value) if metric.pooling else Estimate(value)
    )


def _over_patients(pooling: Pooling, repeats: Sequence[Patients]) -> Estimate:
    counts = np.array([[pooling.counts(score) for score in patients.values()] for patients in repeats])
    overlap, pred, truth = np.moveaxis(counts.astype(np.float64), -1, 0)
    return fraction_interval((overlap, pred, truth), pooling.fraction)


def _said(metric: PatientMetric, found: Estimate) -> str | None:
    return found.reason and f"{metric.label}: {found.reason}"
