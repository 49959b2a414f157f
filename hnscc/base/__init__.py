"""What every other wing stands on: errors told without a traceback, files written whole, folders and S3, keyed seeds.

Others may use every public name of `errors`, `files`, `encode`, `locations`, `locks`, `lease` and `seeds`.
"""
