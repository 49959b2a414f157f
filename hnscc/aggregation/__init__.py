"""From completed trials to tables: what a run folder holds is read, scored, summarised, compared, written as Parquet.

Others may use `build` (writes the tables), `query` (reads them and asks them by SQL), `schemas`, `columns` and
`column_types` (what they hold), `results`, `folds`, `trials`, `medians`, `models`, `summary` and `comparisons` (what is
behind them) and `enough_repeats` (which variants have enough).

It may import base, study, scores, cohort, training and data_prep. Inside, imports point one way: build -> comparisons,
detection -> enough_repeats, models, summary -> query -> whole_patients -> scans -> results, schemas -> columns, medians
-> comparison_columns, scan_columns, trials -> column_types, folds.
"""
