"""This wing searches for settings over repeats: a race that says which trainings it wants, its results and its report.

Whoever trains (`rayjobs.search`) asks `race.Race`, which knows nothing of files; `results` reads and writes the run
folder, and `report.write_search_report` the report.

It may import base, study, scores, cohort, training, aggregation and reporting. Inside, imports point one way: report ->
figures -> results -> race -> standings -> ledger.
"""
