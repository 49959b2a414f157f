"""What every other wing builds on: errors told without a traceback, files written whole, folders and S3, keyed seeds.

Other wings may use every public name of `errors`, `argument_checks`, `option_help`, `in_words` and `console` (what a
user reads), `command` (how a command begins and ends), `files`, `encode`, `locations` and `locks`, `seeds`, `arrays`,
`facts`, `steps`, `split_names` and `fewest`, `cores` and `environment`.

It may import no other wing. Inside, imports point one way: folders -> locks -> files -> command, locations ->
argument_checks, console, environment, s3_errors, standard_streams -> errors -> arrays, cores, encode, facts, fewest,
in_words, option_help, seeds, split_names, steps.
"""
