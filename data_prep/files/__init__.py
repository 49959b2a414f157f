"""Reads volumes from files of all formats, NIfTI, Analyze, MGH, NRRD and MetaImage, with their headers and names."""
