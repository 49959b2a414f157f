"""From completed trials to tables: reads what a run folder holds, scores, summarises and compares it, and
writes Parquet.

Other wings may use `build` (writes the tables), `query` (reads them and runs SQL on them), `schemas`, `columns` and
`column_types` (describe them), `results`, `folds`, `trials`, `medians`, `models`, `summary` and `comparisons` (compute
what they hold) and `enough_repeats` (decides which variants have enough).

It may import base, study, scores, cohort, training and data_prep. Inside, imports point one way: build -> comparisons,
detection -> enough_repeats, models, summary -> query -> whole_patients -> scans -> results, schemas -> columns, medians
-> comparison_columns, scan_columns, trials -> column_types, folds.
"""
