"""What a prediction is worth: pure functions of masks, pixel counts and scores, without files.

Others may use METRICS (`metrics`), counts of pixels and outcomes of slices (`counts`), thresholds and the median model
(`thresholds`), and every statistic of the house: `intervals`, `differences`, `paired_tests`, `describe`, `crossed`
(over patients and repeats) and `better`, with forecasts of the next study (`forecasts`, `needed`); what each needs at
least stands in `base.fewest`. Of slices: sets of them (`slice_sets`). Of whole scans: distances of surfaces
(`surface`), sizes in ml (`millilitres`), uptake (`uptake`), lesions found and false (`lesions`), calls of scans and
patients (`detection`), calibration (`calibration`), what of these differs between patients (`patient_metrics`), and how
all that is kept (`stored`). The rule for empty masks stands in `empty_masks`.

It may import base. Inside, imports point one way: needed -> better, forecasts, patient_metrics, stored, uptake ->
crossed, scans -> differences, lesions, score_checks, slice_sets, thresholds -> calibration, metrics, millilitres,
paired_tests, surface, two_way_t -> counts, describe, detection, empty_masks, intervals, surface_elements.
"""
