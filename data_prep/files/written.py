"""How a volume's file is written: what a header tells beside the grid."""

import nibabel as nib
import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.spatialimages import SpatialImage

_ORIENT_AT = 252  # byte of an Analyze header that holds hist.orient
_ORIENTS = (
    "transverse",
    "coronal",
    "sagittal",
    "transverse, flipped",
    "coronal, flipped",
    "sagittal, flipped",
)


def written_as(image: SpatialImage) -> dict[str, str]:
    """Return, each by its name: `kind` of file, `numbers`, `scaling`, `codes` of sform and qform, `unit` of lengths;
    and `orient` where an Analyze header holds an orientation of its own (hist.orient above 0)."""
    header = image.header
    proxy = image.dataobj
    slope, inter = getattr(proxy, "slope", 1.0), getattr(proxy, "inter", 0.0)
    told = {
        "kind": _kind(image),
        "numbers": np.dtype(image.get_data_dtype()).name,
        "scaling": "as stored" if (slope, inter) == (1.0, 0.0) else "scaled",
    }
    if isinstance(header, nib.Nifti1Header):
        told["codes"] = f"sform {int(header['sform_code'])}, qform {int(header['qform_code'])}"
        told["unit"] = header.get_xyzt_units()[0]
    elif isinstance(header, AnalyzeHeader):
        orient = header.binaryblock[_ORIENT_AT]
        if 0 < orient < len(_ORIENTS):
            told["orient"] = f"{orient} ({_ORIENTS[orient]})"
    return told


def _kind(image: SpatialImage) -> str:
    if isinstance(image, nib.MGHImage):
        return "MGH"
    if not isinstance(image, nib.Nifti1Pair):
        return "Analyze"
    return "NIfTI" if isinstance(image, nib.Nifti1Image) else "a NIfTI pair"
