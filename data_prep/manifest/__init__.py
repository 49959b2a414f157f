"""The CSV that lists scans: cells, columns, ids and rows, checked as a whole; one made of what a folder holds; and rows
of scans that are named without one."""
