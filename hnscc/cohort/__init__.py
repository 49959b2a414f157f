"""The patients: their slices in a store, their division into training, validation and test, and the slices that a
fold samples.

Other wings may use `store` (open, read, verify), `store_building` (write), `store_format` and `placement` (what a store
keeps of a scan), `splits` (which split each patient is in), `fold` (images), `same_data` (whether a store still holds
the data that a fold was made of), `split_file` (what a fold says that it was made of) and `kept_of_store` (what a fold
keeps of masks as they were drawn).

It may import base and study. Inside, imports point one way: fold -> kept_of_store, same_data -> slices, split_file ->
splits -> patients, store_building -> sampled_slices, store -> store_as_found -> store_format -> placement.
"""
