"""Each module writes one section of a study's report, with its texts, tables and figures.

`hnscc.reporting.report` puts them in order.
"""
