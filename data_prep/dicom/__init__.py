"""Reads DICOM (series as volumes, PET as SUV, contours and segmentations as masks), lists folders, and writes masks."""
