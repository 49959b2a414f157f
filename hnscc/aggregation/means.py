"""The rows of table `means`: a variant's mean over its repeats and patients, by each score of patients."""

from collections.abc import Iterator

import numpy as np

from hnscc.aggregation.cases import join_reasons
from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.results import Results
from hnscc.aggregation.whole_patients import WholeScans, values_of, whole_scans_of
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.crossed import Estimate, mean_of_patients
from hnscc.scores.patient_metrics import PATIENT_METRICS, PatientMetric


def mean_rows(results: Results) -> Iterator[TableRow]:
    """A row per variant, split of whole scans and score of patients: all repeats at 0.5, and the median models."""
    for variant in results.study.variants:
        for split in HELD_OUT:
            whole = whole_scans_of(results, variant, split)
            for metric in PATIENT_METRICS:
                found, of_median = _over_repeats(whole, metric), _of_median_models(whole, metric)
                row: TableRow = {"variant": variant, "split": split, "metric": metric.name}
                row |= {"mean": found.value, "low": found.low, "high": found.high}
                row |= {"patients": found.patients, "repeats": found.repeats[0]}
                row |= {"median_model": of_median.value}
                row |= {"median_model_low": of_median.low, "median_model_high": of_median.high}
                reason = join_reasons([found.reason, _said(whole, of_median)])
                yield row | {"higher_is_better": metric.higher_is_better, "reason": reason}


def _over_repeats(whole: WholeScans, metric: PatientMetric) -> Estimate:
    if whole.no_repeats:
        return Estimate(None, reason=whole.no_repeats, repeats=(0,))
    scores = np.stack([values_of(metric, patients) for patients in whole.repeats])
    return mean_of_patients(scores, share=metric.is_share)


def _of_median_models(whole: WholeScans, metric: PatientMetric) -> Estimate:
    if whole.no_median:
        return Estimate(None, reason=whole.no_median)
    return mean_of_patients(values_of(metric, whole.median), share=metric.is_share)


def _said(whole: WholeScans, of_median: Estimate) -> str | None:
    """Why the median models have no value; where there is no repeat either, that has been said."""
    if whole.no_median:
        return None if whole.no_repeats else whole.no_median
    return of_median.reason and f"median model: {of_median.reason}"
