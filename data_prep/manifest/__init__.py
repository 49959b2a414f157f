"""Reads the CSV that lists scans and checks its cells, columns, ids and rows as a whole.

It also makes such a CSV of what a folder holds, and rows of scans that are named without a CSV.
"""
