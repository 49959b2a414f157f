"""DICOM: series as volumes, PET as SUV, contours and segmentations as masks, what a folder holds, and masks written."""
