"""What a prediction is worth: pure functions of pixel counts and scores, without files.

Others may use METRICS (`metrics`), counts of pixels and outcomes of slices (`counts`), thresholds and the median model
(`thresholds`), and every statistic of the house: `intervals`, `differences`, `paired_tests`, `repeats`, `describe`.
"""
