"""From scans to a store: a manifest is read, its files are checked, placed on one grid, resized and written.

Others may use `build` (a store of a manifest), `phantom` and `public` (cohorts to try it with), `manifest` (what a
folder of scans holds, and its list), `new_scans` (scans to predict), `placing.way_back` (predicted masks back on the
scan's own grid), of `dicom` headers, `series_volume`, `series_in_folder`, `rtstruct_out` and `seg_out` (which write
such masks), `settings` and `views`, and what `oddities` and `registering` judged.

To place a scan is to bring its files onto one grid and into square slices. What the store then keeps of it beside its
pixels is its `placement`, `placed` says how all scans were placed, and `placing` how one to come has to be.

It may import base and cohort. Inside, imports point one way: build, phantom -> new_scans, other_reference -> oddities
-> placing, row_files -> manifest, registering -> masks -> files -> dicom, public -> settings, views, volumes, workers.
"""
