"""Reads what a NIfTI header states about how its volume lies: sform, qform or both, and whether they agree; or
SPM's .mat.

It also reads how the file is written.
"""

import io
import os

import nibabel as nib
import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import unit_codes
from nibabel.spatialimages import SpatialImage
from nibabel.spm99analyze import Spm99AnalyzeImage
from scipy.io import loadmat

from hnscc.base.arrays import Floats
from hnscc.base.errors import InputError
from hnscc.base.in_words import count_of

_ORIENT_AT = 252  # the byte of an Analyze header that holds hist.orient
_ORIENTS = (
    "transverse",
    "coronal",
    "sagittal",
    "transverse, flipped",
    "coronal, flipped",
    "sagittal, flipped",
)
MAX_APART_VOXELS = 1.0  # voxels: two statements of one file may place a corner no farther apart
SAME_MM = 0.01  # mm: places that differ by less are the same
SPM = "SPM's .mat"
_OF_LENGTHS = 7  # the bits of xyzt_units that state the unit of lengths


def written_as(image: SpatialImage) -> dict[str, str]:
    """Return, each by its name, `kind` of file, `numbers`, `scaling`, `codes` of sform and qform, and `unit`
    of lengths.

    `orient` is added where an Analyze header holds an orientation of its own (hist.orient above 0).
    """
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
        told["unit"] = unit_of_lengths(header)
    elif isinstance(header, AnalyzeHeader):
        orient = header.binaryblock[_ORIENT_AT]
        if 0 < orient < len(_ORIENTS):
            told["orient"] = f"{orient} ({_ORIENTS[orient]})"
    return told


def unit_of_lengths(header: nib.Nifti1Header) -> str:
    """Return the unit of lengths that a header states, whatever it says of times, of which nibabel reads known
    units alone."""
    code = int(header["xyzt_units"]) & _OF_LENGTHS
    return (
        str(unit_codes.label[code]) if code in unit_codes.label else f"the code {code}, which stands for none"
    )


def _kind(image: SpatialImage) -> str:
    if isinstance(image, nib.Nifti1Pair):
        return "NIfTI" if isinstance(image, nib.Nifti1Image) else "a NIfTI pair"
    return "Analyze" if isinstance(image, nib.AnalyzeImage) else type(image).__name__.removesuffix("Image")


def placed_by(image: SpatialImage, where: str) -> str:
    """Return what in a file that nibabel reads places the volume, in words; "" for Analyze without SPM's .mat, which
    states no orientation. Errors are as in `stated_by`."""
    if isinstance(image, nib.Nifti1Pair):  # single files and NIfTI-2 are subclasses of it
        return stated_by(image.header, where)
    if isinstance(image, nib.AnalyzeImage):
        return by_spm(image, where)
    return _kind(image)


def stated_by(header: nib.Nifti1Header, where: str) -> str:
    """Return which of sform and qform place the volume: "sform", "qform", or "sform and qform" where they agree.

    If both are set, the sform is used, as by nibabel, SPM and FSL; ITK tools may use the qform. InputError is raised
    where neither is set, where one that is set holds NaN or infinity, and where lengths are in metres or micrometres.
    It is also raised where sform and qform, or the sform alone and the header's voxel sizes (pixdim, which ITK tools
    use), place a corner of the volume more than a voxel apart, since nobody can know by which of the two masks were
    drawn. ValueError is raised where the qform's quaternion is invalid.
    """
    stated = [name for name in ("sform", "qform") if int(header[f"{name}_code"])]
    if not stated:
        raise _refused(
            "The volume does not say how it lies in space.",
            where,
            "an sform or qform code above 0",
            "both are 0",
        )
    unit = unit_of_lengths(header)
    if unit not in ("mm", "unknown"):
        raise _refused("The header states lengths that are not in mm.", where, "mm", unit)
    forms = {name: getattr(header, f"get_{name}")() for name in stated}
    for name, form in forms.items():
        if not np.isfinite(form).all():
            raise _refused(
                f"The {name} of the volume holds what is no number.",
                where,
                "numbers throughout",
                f"NaN or infinity in {np.count_nonzero(~np.isfinite(form))} of {form.size}",
            )
    if len(stated) == 2:
        sform, qform = forms["sform"], forms["qform"]
        apart = _apart(sform, qform, header.get_data_shape())
        if not apart <= MAX_APART_VOXELS:
            raise _refused(
                "The sform and the qform of the volume disagree.",
                where,
                f"both within {MAX_APART_VOXELS:g} voxel of one another",
                f"the first voxel at {_point(sform)} mm by sform, at {_point(qform)} mm by qform, "
                f"and corners up to {count_of(apart, 'voxel')} apart",
            )
    elif stated == ["sform"] and not all(size == 1 for size in header.get_zooms()[:3]):  # 1: never written
        _check_voxels(forms["sform"], header.get_zooms(), header.get_data_shape(), where)
    return " and ".join(stated)


def by_spm(image: SpatialImage, where: str) -> str:
    """Return `SPM` where an image is an Analyze pair with a .mat of SPM, which nibabel has read, else "".

    InputError is raised where the .mat cannot be read, its voxel sizes differ from the header's, or it states
    two places.
    """
    if not isinstance(image, Spm99AnalyzeImage):
        return ""
    try:
        with image.file_map["mat"].get_prepare_fileobj() as file:
            content = file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:  # nibabel takes it for no .mat, so the volume would lie elsewhere
        raise _refused(
            "The .mat beside the Analyze pair, which says how it lies, cannot be read.",
            where,
            "a file that you may read, or none",
            os.strerror(error.errno or 0),
        ) from None
    if not content:
        return ""
    _check_voxels(image.affine, image.header.get_zooms(), image.shape, where, SPM)
    _check_one_place(content, where)
    return SPM


def _check_one_place(content: bytes, where: str) -> None:
    """Raise InputError where the variables M and mat of a .mat of SPM place the volume differently.

    SPM writes both, and M may be mat with x mirrored. nibabel uses mat, and of several the first.
    """
    stated = loadmat(io.BytesIO(content))
    places = [stated[name] for name in ("M", "mat") if name in stated]
    if any(np.ndim(each) > 2 for each in places):
        found = "several of one name"
    elif len(places) == 2 and not _same_but_for_x(*places):
        found = "M and mat, which place the volume otherwise"
    else:
        return
    raise _refused(
        f"{SPM} states several places.", where, "one place: M and mat alike, or with x mirrored", found
    )


def _same_but_for_x(one: Floats, other: Floats) -> bool:
    """Return whether two affines, 4 x 4, to mm, are the same, or the same with x mirrored."""
    mirrors = (np.diag([x, 1, 1, 1]) for x in (1, -1))
    return any(np.allclose(mirror @ one, other, rtol=0, atol=SAME_MM) for mirror in mirrors)


def _check_voxels(
    affine: Floats,
    sizes: tuple[float, ...],
    shape: tuple[int, ...],
    where: str,
    by: str = "sform",
) -> None:
    """Raise InputError where voxel sizes add up to a length along some axis that differs from the affine's by more than
    a voxel.

    affine: 4 x 4, to mm. sizes: of a voxel, in mm. shape: of the volume. Both are along the axes of the file.
    """
    steps, stated = np.linalg.norm(affine[:3, :3], axis=0), np.abs(np.array(sizes[:3], dtype=np.float64))
    smallest = max(min(steps.min(), stated.min()), 1e-12)
    if (np.abs(steps - stated) * (np.array(shape[:3]) - 1)).max() > MAX_APART_VOXELS * smallest:
        raise _refused(
            f"The {by} and the header's voxel sizes (pixdim) disagree.",
            where,
            "voxels of one size by both",
            f"{_sizes(steps)} mm by {by}, {_sizes(stated)} mm by pixdim",
        )


def _sizes(steps: Floats) -> str:
    """Return the sizes of a voxel, (3,) in mm, in words."""
    return " x ".join(f"{step:.4g}" for step in steps)


def _apart(one: Floats, other: Floats, shape: tuple[int, ...]) -> float:
    """Return how far apart two affines, each 4 x 4, to mm, place a corner of a volume of this shape, at most.

    The distance is in multiples of the smallest voxel size.
    """
    ends = np.array(np.meshgrid(*([0, count - 1] for count in shape[:3]))).reshape(3, -1)
    points = np.vstack([ends, np.ones(ends.shape[1])])
    distance = np.linalg.norm(((one - other) @ points)[:3], axis=0)
    return float(distance.max() / np.linalg.norm(other[:3, :3], axis=0).min())


def _point(affine: Floats) -> str:
    """Return where an affine, 4 x 4, puts the first voxel, in words, in mm."""
    return "({})".format(", ".join(f"{value:.4g}" for value in affine[:3, 3]))


def _refused(problem: str, where: str, expected: str, found: str) -> InputError:
    do = (
        "Find out how the volume lies and write it into the header (sform and qform alike, in mm; nibabel's set_sform "
        "and set_qform do), or export the volume again."
    )
    return InputError(problem, where=where, expected=expected, found=found, do=do)
