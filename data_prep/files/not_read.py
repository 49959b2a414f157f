"""Files of volumes that are not read here, by their endings, and what makes one of them that is.

An ending that is read from now on (`FORMATS` in data_prep/files/read.py) leaves this list, as a test asks.
"""

_UNPACK = "Unpack it, and name the file that is in it."
OTHERS: dict[tuple[str, ...], str] = {
    (
        ".mhd",
    ): "Write it as one file that holds header and values, .mha (3D Slicer and ITK-SNAP do), and name that.",
    (".nhdr",): "Write it as one file that holds header and values, .nrrd (3D Slicer does), and name that.",
    (
        ".mgh",
    ): "Compress it with gzip under the ending .mgz, or convert it to NIfTI (mri_convert), and name that.",
    (".mnc",): "Convert it to NIfTI (mnc2nii), and name that.",
    (
        ".par",
        ".rec",
        ".v",
    ): "Convert it to NIfTI (dcm2niix and the scanner's own programs do), and name that.",
    (".bz2", ".zst", ".xz"): "Unpack it, or compress it with gzip (.nii.gz), and name that.",
    (".zip", ".tar", ".tgz", ".tar.gz", ".rar", ".7z"): _UNPACK,
}
