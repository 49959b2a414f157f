"""This wing searches for settings over repeats: a race that asks for trainings, its results and its report.

Whoever trains (`rayjobs.search`) asks `race.Race`, which knows nothing of files. `recorded` reads and writes which
configurations were proposed, and reads how far each training has come; `ledger` and `standings` hold what the race
knows of each configuration; `results` loads a race that is over and writes its tables; `configurations` makes the table
of them and says whether any found anything; and `report.write_search_report` writes the report.

It may import base, study, scores, cohort, training, aggregation and reporting. Inside, imports point one way: report ->
figures, results -> configurations, recorded -> race -> standings -> ledger.
"""
