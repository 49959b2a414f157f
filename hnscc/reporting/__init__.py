"""This wing writes a run folder's report (HTML, Markdown and figures) from its tables.

The command line uses `report.write_report`. The report of a search also uses `blocks`, `values` and `plotting.style`.

It may import base, study, scores, cohort, training and aggregation. Inside, imports point one way: report -> sections
-> source -> plotting -> values -> blocks.
"""
