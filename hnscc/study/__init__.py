"""The study file and what follows from it before anything is trained: settings, trials, identity, paths.

Other wings use `schema`, `section_schema`, `variant_schema` and `search_schema` (the typed settings), `presets`,
`loading` (which reads a file as a `Study`, writes it back, and opens a run folder that a user names), `trials` and
`identity` (all trials, and what determines each), `run_folder` (every path below a run folder), `ranges` and
`range_checks` (the configurations of a search), `settings_page` (what each setting means) and `paper` (what Liedes et
al. published). `yaml_text` reads other YAML too, and `fields` writes a value as YAML. Used inside are `faults`, which
words what is wrong with a file, and `without_effect`, which finds settings that change nothing because of another one.

It may import base. Inside, imports point one way: loading, paper -> faults, identity, range_checks, run_folder ->
trials, ranges -> without_effect -> settings_page -> schema -> search_schema, section_schema, variant_schema -> fields,
presets, yaml_text.
"""
