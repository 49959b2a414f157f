"""This wing searches for settings over repeats: a race that says which trainings it wants, its results and its report.

Whoever trains (`rayjobs.search`) asks `race.Race`, which knows nothing of files; `recorded` holds what was proposed and
trained, `ledger` and `standings` what it knows of each configuration, `results` loads a race that is over and writes
its tables, `configurations` says whether any found anything, and `report.write_search_report` writes its report.

It may import base, study, scores, cohort, training, aggregation and reporting. Inside, imports point one way: report ->
figures, results -> configurations, recorded -> race -> standings -> ledger.
"""
