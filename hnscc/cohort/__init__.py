"""The patients: their slices in a store, split into training, validation and test, and the slices that a fold uses.

Others may use `store` (open, read, verify), `store_building` (write), `splits` (who stands where), `fold_plan` (what
that gives) and `fold` (images).

It may import base and study. Inside, imports point one way: fold -> same_data -> slices, splits -> fold_plan, patients,
store_building -> store, used_slices -> store_format.
"""
