"""This wing writes a run folder's report (HTML, Markdown and figures) from its tables, and draws nothing else.

The command line uses `report.write_report`; a search's report is made of `blocks`, `values`, `drawing.style` and
`pages` too, and reads how the run folder was made by `sections.provenance`.
"""
