"""How good a prediction is: pure functions of masks, pixel counts and scores, without files.

Other wings may use METRICS (`metrics`), counts of pixels and outcomes of slices (`counts`), thresholds and the median
model (`thresholds`), and every statistic of the project: `intervals`, `differences`, `paired_tests`, `describe`,
`crossed` (over patients and repeats) and `better`, and forecasts of the next study (`forecasts`, `needed`).
`base.fewest` says how many values each statistic needs at least. `slice_sets` names sets of slices. For whole scans
there are distances of surfaces (`surface`), sizes in ml (`millilitres`), uptake (`uptake`), found and false lesions
(`lesions`), calls of scans and patients (`detection`), calibration (`calibration`), the scores of patients by which
variants are compared (`patient_metrics`), and the form in which trials store all this (`stored`). `empty_masks` states
the rule for empty masks.

It may import base. Inside, imports point one way: needed -> better, forecasts, patient_metrics, stored, uptake ->
crossed, scans -> differences, lesions, score_checks, slice_sets, thresholds -> calibration, metrics, millilitres,
paired_tests, surface, two_way_t -> counts, describe, detection, empty_masks, intervals, surface_elements.
"""
