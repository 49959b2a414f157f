"""The rows of table `means`: a variant's mean over its repeats and patients, by each score of patients."""

from collections.abc import Iterator

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.patient_comparisons import repeats_of, values_of
from hnscc.aggregation.results import Results
from hnscc.aggregation.scans import HELD_OUT
from hnscc.scores.crossed import Estimate
from hnscc.scores.patient_means import mean_of_patients
from hnscc.scores.patient_metrics import PATIENT_METRICS


def mean_rows(results: Results) -> Iterator[TableRow]:
    """A row per variant, split of whole scans and score of patients; all repeats at 0.5."""
    for variant in results.study.variants:
        for split in HELD_OUT:
            repeats, lacking = repeats_of(results, variant, split)
            for metric in PATIENT_METRICS:
                found = Estimate(None, reason=lacking, repeats=(0,))
                if not lacking:
                    scores = np.stack([values_of(metric, patients) for patients in repeats])
                    found = mean_of_patients(scores, share=metric.range == (0.0, 1.0))
                row: TableRow = {"variant": variant, "split": split, "metric": metric.name}
                row |= {"mean": found.value, "low": found.low, "high": found.high}
                row |= {"patients": found.patients, "repeats": found.repeats[0]}
                yield row | {"higher_is_better": metric.higher_is_better, "reason": found.reason}
