"""Each module writes a section of a study's report: the text, the tables and the figures that it is made of.

`hnscc.reporting.report` puts them in order.
"""
