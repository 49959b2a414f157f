"""From scans to a store: this package reads a manifest, checks its files, places them on one grid, resizes and
writes them.

Other packages may use `build` (a store of a manifest), `phantom` and `public` (cohorts to try it with), `manifest`
(what a folder of scans holds, and the list of it), `new_scans` (scans to predict), `placing.way_back` (predicted masks
on the scan's own grid again), `settings` and `views`. They may use these of `dicom`: headers, `series_volume`,
`series_in_folder`, and `rtstruct_out` and `seg_out`, which write such masks. They may also use what `oddities` and
`registering` found.

To place a scan is to bring its files onto one grid and into square slices. `placement` is what the store keeps of a
scan beside its pixels, `placed` says how all scans of a store were placed, and `placing` says how a new scan has to
be placed.

It may import base and cohort. Inside, imports point one way: build, phantom -> new_scans, other_reference -> oddities
-> placing, row_files -> manifest, registering -> masks -> files -> dicom, public -> settings, views, volumes, workers.
"""
