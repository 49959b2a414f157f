"""What a prediction is worth: pure functions of masks, pixel counts and scores, without files.

Others may use METRICS (`metrics`), counts of pixels and outcomes of slices (`counts`), thresholds and the median model
(`thresholds`), and every statistic of the house: `intervals`, `differences`, `paired_tests`, `repeats`, `describe`
(what each needs at least: `base.fewest`). Of slices: sets of them (`slice_sets`). Of whole scans: distances of surfaces
(`surface`), volumes and uptake (`volumes`), lesions found and false (`lesions`), calls of scans and patients, and
calibration (`detection`). The rule for empty masks stands in `masks`.

It may import base. Inside, imports point one way: better, differences, glycolysis, paired_t, patient_means,
patient_metrics, planner, slice_sets, stored -> crossed, paired_tests, repeats, scans, thresholds ->
calibration, given, lesions, surface, uptake, variance_parts, volumes -> metrics, two_way_t -> counts, describe,
detection, intervals, masks, surface_elements.
"""
