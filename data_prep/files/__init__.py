"""Volumes from files: the door to all formats, NIfTI, Analyze, MGH, NRRD and MetaImage, and their headers."""
