"""What every other wing stands on: errors told without a traceback, files written whole, folders and S3, keyed seeds.

Others may use every public name of `errors`, `files`, `encode`, `locations`, `locks`, `seeds`, `arrays`
and `fewest`.

It may import no other wing. Inside, imports point one way: folders, locks -> files -> locations ->
argument_checks, console, s3_errors -> errors -> arrays, cores, encode, environment, facts, fewest, in_words,
option_help, seeds, split_names, steps.
"""
