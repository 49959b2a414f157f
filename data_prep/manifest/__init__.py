"""The CSV that lists scans: cells, columns, ids and rows, checked as a whole; and one made from a folder of DICOM."""
