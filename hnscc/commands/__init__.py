"""What users call: the `hnscc` command, and the functions that `import hnscc` offers (`*_api`).

A command turns its arguments into a call of its function, or of what that function calls, and turns the result into
text. `settings` and `doctor` have no function: they call `study.settings_page` and `rayjobs.doctor`. Only the `hnscc`
package itself imports this wing, once one of its functions is used.

It may import base, study, scores, cohort, data_prep, training, aggregation, reporting, searching and rayjobs. Inside,
imports point one way: docs -> cli -> cohort_commands, new_scan_commands, results_commands, study_commands ->
cohort_api, new_scan_api, printed_studies, printing, results_api, study_api -> check, cohort_page, export, predict,
sample_size -> checked, cohort_pictures, listing, predicted_scan -> prepared_cohort, formats, new_study, options,
output_folders, prune, status, tables, train, usage, warned.
"""
