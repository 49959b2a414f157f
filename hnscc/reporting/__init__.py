"""This wing writes a run folder's report (HTML, Markdown and figures) from its tables.

The command line uses `report.write_report`; a search's report is made of `blocks`, `values` and
`plotting.style` too.

It may import base, study, scores, cohort, training and aggregation. Inside, imports point one way: report -> sections
-> source -> plotting -> values -> blocks.
"""
