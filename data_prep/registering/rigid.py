"""The rigid motion that lays one image on another: SimpleITK's search for the most mutual information (Mattes).

It searches on small copies of both volumes, from coarse to fine; the same bits on every run: one thread, and places
that follow from a seed.
Source of the measure: Mattes et al. (2003), IEEE Transactions on Medical Imaging 22(1), 120-128.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volumes.volume import TO_RAS, Volume, to_lps, turned_to_lps
from hnscc.base.arrays import Floats
from hnscc.base.seeds import short_seed

VOXEL_MM = 3.0  # of a copy, about; what is coarser stays as it is
# Percentiles, which become 0 and 1: a bladder in PET must not make all else one grey.
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
BINS = 32
MOST_VOXELS = 2**18  # of the fixed copy that are looked at, spread evenly
BLURS_MM = (6.0, 3.0, 1.0)  # sigma of the smoothing, level by level
MOST_PLACES = 20_000  # at which the images are compared, at most
FIRST_STEP_MM, LAST_STEP_MM, STEPS = 2.0, 0.01, 150
# Of a motion's angles and shifts: what other processors make of the last digits is cut off.
MOTION_DECIMALS = 6
Motion = Floats  # 4 x 4, from mm of the fixed image to mm of the moving one, as in NIfTI


@dataclass(frozen=True)
class Copy:
    """Grey values 0 to 1, float32 (x, y, z), of a volume turned to LPS; `affine`, 4 x 4, maps an index to mm as
    in NIfTI."""

    values: NDArray[np.float32]
    affine: Floats

    @property
    def centre(self) -> Floats:
        """The middle of the copy in mm, (3,)."""
        middle = (np.array(self.values.shape) - 1) / 2
        return np.asarray(self.affine[:3, :3] @ middle + self.affine[:3, 3])

    @property
    def body_centre(self) -> Floats:
        """Where the middle of the grey values lies in mm, (3,)."""
        values = self.values.astype(np.float64)
        sums = [values.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        at = np.array([(each * np.arange(len(each))).sum() / max(each.sum(), 1e-12) for each in sums])
        return np.asarray(self.affine[:3, :3] @ at + self.affine[:3, 3])


def small_copy(volume: Volume) -> Copy:
    """Return means over blocks of voxels as grey values, by their square root, so that faint uptake counts beside
    hot uptake."""
    grid = to_lps(volume.grid)
    data = turned_to_lps(volume.data, volume.grid)
    block = np.maximum(1, np.floor(VOXEL_MM / grid.spacing + 0.05)).astype(int)
    block = np.minimum(block, data.shape)
    count = np.array(data.shape) // block
    x, y, z = count * block
    sides = [int(each) for pair in zip(count, block, strict=True) for each in pair]
    means = data[:x, :y, :z].reshape(sides).mean(axis=(1, 3, 5), dtype=np.float32)
    step = np.diag([*block.astype(float), 1.0])
    step[:3, 3] = (block - 1) / 2
    return Copy(_greys(means), grid.affine @ step)


def _greys(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of any shape and unit of values as grey values 0..1, of that shape: the roots of their shares of the way
    from a low percentile to a high one."""
    low, high = np.percentile(values, [LOW_PERCENTILE, HIGH_PERCENTILE])
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return np.asarray(np.sqrt(share), dtype=np.float32)


def similarity(fixed: Copy, moving: Copy, motion: Floats) -> tuple[float, float]:
    """Return the mutual information of two copies in nats, 0 to log 32, and the share of the fixed one that is covered.

    motion: 4 x 4, from mm of the fixed copy to mm of the moving one. All voxels of the fixed copy count, whatever the
    motion: outside of the moving copy stands its lowest value, as it will in the stored slices. So a motion gains
    nothing by pushing what does not fit out of sight, which it does where the overlap alone is counted.
    """
    step = max(1, int(np.ceil((fixed.values.size / MOST_VOXELS) ** (1 / 3))))
    at = np.stack(np.meshgrid(*(np.arange(0, side, step) for side in fixed.values.shape), indexing="ij"))
    ways = np.linalg.inv(moving.affine) @ motion @ fixed.affine
    places = np.tensordot(ways[:3, :3], at, axes=1) + ways[:3, 3][:, None, None, None]
    seen = ndimage.map_coordinates(moving.values, places, order=1, mode="nearest", output=np.float32)
    sides = np.array(moving.values.shape)[:, None, None, None]
    covered = ((places >= -0.5) & (places <= sides - 0.5)).all(axis=0)
    seen = np.where(covered, seen, np.float32(0))
    return mutual_information(fixed.values[::step, ::step, ::step], seen), float(covered.mean())


def mutual_information(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two images of one shape with values from 0 to 1, in nats: about 0 where neither tells anything of the other.

    Of few voxels chance alone gives some, which is taken off (so that it may come to less than 0).
    Source: Miller (1955), Note on the bias of information estimates, in Information Theory in Psychology.
    """
    bins = [np.minimum((each.ravel() * BINS).astype(np.int64), BINS - 1) for each in (one, other)]
    joint = np.bincount(bins[0] * BINS + bins[1], minlength=BINS * BINS).reshape(BINS, BINS) / one.size
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    by_chance = (some.sum() - some.any(axis=1).sum() - some.any(axis=0).sum() + 1) / (2 * one.size)
    return float((joint[some] * np.log(joint[some] / apart[some])).sum() - by_chance)


def find_motion(fixed: Copy, moving: Copy, starts: list[Motion], *, seed: int) -> Motion:
    """Return the rigid motion from places of the fixed image to the same places of the body in the moving one, 4 x 4
    in mm.

    starts: pure shifts to begin from, each 4 x 4. seed: the places at which the images are compared follow from it and
    the level. Each level begins where `similarity` is highest so far: a coarse level that went astray is forgotten.
    RuntimeError where the images overlap nowhere on the way.
    """
    best = max(starts, key=lambda motion: similarity(fixed, moving, motion)[0])
    *coarse, last = BLURS_MM
    for level, blur in enumerate(coarse):
        begin = starts if level == 0 else [best]
        found = [_search(fixed, moving, motion, blur, seed) for motion in begin]
        best = max([best, *found], key=lambda motion: similarity(fixed, moving, motion)[0])
    return _search(fixed, moving, best, last, seed)


def _search(fixed: Copy, moving: Copy, start: Motion, blur: float, seed: int) -> Motion:
    """Return the best motion that a search finds from `start`, in copies smoothed by `blur` mm: both 4 x 4, in mm."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, MOST_PLACES / fixed.values.size)
    method.SetMetricSamplingPercentage(share, short_seed(seed, "register", str(blur)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        FIRST_STEP_MM, LAST_STEP_MM, STEPS, relaxationFactor=0.7, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _transform(start, fixed.centre)
    method.SetInitialTransform(transform, inPlace=True)
    with _one_thread():
        smoothed = [sitk.SmoothingRecursiveGaussian(_image(each), blur) for each in (fixed, moving)]
        method.Execute(*smoothed)
    transform.SetParameters([round(float(each), MOTION_DECIMALS) for each in transform.GetParameters()])
    return _motion(transform)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK use one thread, since sums of several threads differ in their last bits. The number of threads of a
    method does not apply to its measure, but the default for all does."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _transform(motion: Motion, centre: Floats) -> sitk.Euler3DTransform:
    """The motion, 4 x 4 in mm, as ITK has it: in its own axes, turned about the centre of the fixed image, (3,)
    in mm."""
    itk = _flipped(motion)
    about = TO_RAS @ centre
    transform = sitk.Euler3DTransform()
    transform.SetCenter(about.tolist())
    transform.SetMatrix(itk[:3, :3].ravel().tolist())
    transform.SetTranslation((itk[:3, :3] @ about + itk[:3, 3] - about).tolist())
    return transform


def _motion(transform: sitk.Euler3DTransform) -> Motion:
    """The motion, 4 x 4 in mm as in NIfTI, of a transform of ITK."""
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    about = np.array(transform.GetCenter())
    itk = np.eye(4)
    itk[:3, :3] = turn
    itk[:3, 3] = about + np.array(transform.GetTranslation()) - turn @ about
    return _flipped(itk)


def _flipped(motion: Motion) -> Motion:
    """Between the axes of NIfTI and those of ITK: both motions are 4 x 4, in mm."""
    flip = np.eye(4)
    flip[:3, :3] = TO_RAS
    return np.asarray(flip @ motion @ flip)


def _image(copy: Copy) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(copy.values.T))
    spacing = np.linalg.norm(copy.affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((TO_RAS @ copy.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((TO_RAS @ copy.affine[:3, 3]).tolist())
    return image
