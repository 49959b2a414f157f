"""Missing one more lesion that was predicted exactly never improves a score of patients, a mean, a pooled value or a
comparison: on random cohorts.

tests/scores/test_rule_for_empty_masks.py has the same of every score of one scan, and where it does not hold.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label

from hnscc.scores.better import chance_of_better
from hnscc.scores.crossed import mean_difference, mean_of_patients, pooled_difference, pooled_interval
from hnscc.scores.metrics import METRICS
from hnscc.scores.patient_metrics import PATIENT_METRICS, POOLED_METRICS
from hnscc.scores.scans import scans_together, score_scan

EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)
SHAPE, SPACING = (3, 9, 9), (3.0, 1.2, 1.2)
# A description and no score, as hnscc/scores/empty_masks.py says: a false alarm hides a miss of the same volume.
JUDGED = [each for each in PATIENT_METRICS if each.name != "volume_error_ml"]


def scan(rng):
    """A true mask of some boxes, and its components; lesions that touch are one."""
    truth = np.zeros(SHAPE, bool)
    for _ in range(rng.integers(0, 4)):
        z, y, x = rng.integers(0, [2, 6, 6])
        truth[z : z + rng.integers(1, 3), y : y + rng.integers(1, 4), x : x + rng.integers(1, 4)] = True
    numbers, n = label(truth, EVERY_NEIGHBOUR)
    return truth, [numbers == each for each in range(1, n + 1)]


def predicted(rng, truth, lesions):
    """Some lesions as they are, and alarms that touch none; which lesions are found."""
    alarms = (rng.random(SHAPE) < 0.01) & ~binary_dilation(truth, EVERY_NEIGHBOUR)
    return alarms, [bool(each) for each in rng.random(len(lesions)) < 0.7]


def score(cohort, marked):
    """The score of each patient of a cohort, by what was marked in each scan."""
    found = []
    for scans, of_patient in zip(cohort, marked, strict=True):
        parts = [
            score_scan(np.logical_or.reduce([alarms, *np.array(lesions)[hit]]), truth, SPACING, 2.0)
            for (truth, lesions), (alarms, hit) in zip(scans, of_patient, strict=True)
        ]
        found.append(scans_together(parts))
    return found


def judged(a, b, lesion):
    """What is said of variant a beside b, each value such that more is better: name -> value.

    a, b: of each repeat the scores of all patients. lesion: which of them hold lesion.
    """
    said = {}
    for metric in JUDGED:
        sign = 1 if metric.higher_is_better else -1
        of_a, of_b = (
            np.array(
                [
                    [metric.of(p) for p, ill in zip(repeat, lesion, strict=True) if ill or metric.of_all]
                    for repeat in v
                ]
            )
            for v in (a, b)
        )
        said |= {f"{metric.name} {i}": value for i, value in np.ndenumerate(sign * of_a)}
        said[f"mean {metric.name}"] = sign * mean_of_patients(of_a, share=metric.range == (0, 1)).value
        said[f"difference {metric.name}"] = sign * mean_difference(of_a, of_b).value
        said[f"better {metric.name}"] = chance_of_better(sign * of_a, sign * of_b).value
    for metric in POOLED_METRICS:
        said[f"pooled {metric.name}"] = np.mean([metric.of(scans_together(repeat)) for repeat in a])
    counts = [
        [
            np.array([[getattr(p, f"{name}_px") for p in repeat] for repeat in v])
            for name in ("overlap", "pred", "truth")
        ]
        for v in (a, b)
    ]
    for name in METRICS:
        said[f"pooled {name}"] = pooled_interval(*counts[0], metric=name).value
        said[f"pooled difference {name}"] = pooled_difference(*counts, metric=name).value
    return said


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_missing_one_more_lesion_of_one_patient_improves_nothing(seed):
    """Four patients of one or two scans, two repeats of two variants; a loses what it found, lesion by lesion."""
    rng = np.random.default_rng(seed)
    cohort = [[scan(rng) for _ in range(rng.integers(1, 3))] for _ in range(4)]
    cohort[0][0] = (box := np.indices(SHAPE).sum(0) < 3), [box]  # one lesion at least
    lesion = [any(truth.any() for truth, _ in scans) for scans in cohort]
    a, b = (
        [[[predicted(rng, *each) for each in scans] for scans in cohort] for _ in range(2)] for _ in range(2)
    )
    of_b = [score(cohort, repeat) for repeat in b]
    before = judged([score(cohort, repeat) for repeat in a], of_b, lesion)
    for marked in a[0]:
        for _, hit in marked:
            for found in [position for position, each in enumerate(hit) if each]:
                hit[found] = False
                after = judged([score(cohort, repeat) for repeat in a], of_b, lesion)
                assert before.keys() == after.keys()
                vanished = [name for name in before if (before[name] is None) != (after[name] is None)]
                assert vanished == []
                judged_by = [name for name in before if before[name] is not None]
                assert [name for name in judged_by if after[name] > before[name] + 1e-12] == []
                before = after
