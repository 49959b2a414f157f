"""The patients: their slices in a store, split into training, validation and test, and the slices that a fold samples.

Others may use `store` (open, read, verify), `store_building` (write), `store_format` and `placement` (what it
keeps of a scan), `splits` (who stands where), `fold` (images), `same_data` (whether a store still holds what a
fold was made of), `split_file` (what a fold says that it was made of) and `kept_of_store` (what it keeps of
masks as they were drawn).

It may import base and study. Inside, imports point one way: fold -> kept_of_store, same_data -> slices, split_file ->
splits -> patients, store_building -> sampled_slices, store -> store_as_found -> store_format -> placement.
"""
