"""Volumes from files: the door to all formats, NIfTI, Analyze, MGH, NRRD and MetaImage, their headers and names."""
