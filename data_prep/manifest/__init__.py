"""The CSV that lists scans: cells, columns, ids and rows, checked as a whole; one made from a folder of DICOM; and rows
of scans that are named without one."""
