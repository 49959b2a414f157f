"""The patients: their slices in a store, split into training, validation and test, and the slices that a fold uses.

Others may use `store` (open, read, verify), `store_building` (write), `splits` (who stands where), `fold_plan` (what
that gives) and `fold` (images).
"""
