"""The rigid motion that lays one image on another: SimpleITK's search for the most mutual information (Mattes).

From coarse to fine; the same bits on every run: one thread, and places drawn by a seed of their own.
Source of the measure: Mattes et al. (2003), IEEE Transactions on Medical Imaging 22(1), 120-128.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from data_prep.registering.copies import Copy
from data_prep.registering.similarity import BINS, similarity
from data_prep.volumes.volume import TO_RAS
from hnscc.base.seeds import short_seed

BLURS_MM = (6.0, 3.0, 1.0)  # sigma of the smoothing, level by level
PLACES = 20_000  # at which the images are compared, at most
FIRST_STEP_MM, LAST_STEP_MM, STEPS = 2.0, 0.01, 150
SEED = 2023
DECIMALS = 6  # of a motion's angles and shifts: what other processors make of the last digits is cut off

Motion = NDArray[np.float64]  # 4 x 4, from mm of the fixed image to mm of the moving one, as in NIfTI


def find_motion(fixed: Copy, moving: Copy, starts: list[Motion]) -> Motion:
    """Return the rigid motion from places of the fixed image to the same places of the body in the moving one.

    starts: pure shifts to begin from. Each level begins where most was found so far (data_prep.registering.similarity):
    a coarse level that went astray is forgotten. RuntimeError where the images overlap nowhere on the way.
    """
    best = max(starts, key=lambda motion: similarity(fixed, moving, motion)[0])
    *coarse, last = BLURS_MM
    for level, blur in enumerate(coarse):
        begin = starts if level == 0 else [best]
        found = [_search(fixed, moving, motion, blur) for motion in begin]
        best = max([best, *found], key=lambda motion: similarity(fixed, moving, motion)[0])
    return _search(fixed, moving, best, last)


def _search(fixed: Copy, moving: Copy, start: Motion, blur: float) -> Motion:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, PLACES / fixed.values.size)
    method.SetMetricSamplingPercentage(share, short_seed(SEED, "register", str(blur)))
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
    transform.SetParameters([round(float(each), DECIMALS) for each in transform.GetParameters()])
    return _motion(transform)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits. A method's own number of threads does not reach its measure;
    the default for all does."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _transform(motion: Motion, centre: NDArray[np.float64]) -> sitk.Euler3DTransform:
    """The motion as ITK has it: in its own axes, turned about the centre of the fixed image."""
    itk = _flipped(motion)
    about = TO_RAS @ centre
    transform = sitk.Euler3DTransform()
    transform.SetCenter(about.tolist())
    transform.SetMatrix(itk[:3, :3].ravel().tolist())
    transform.SetTranslation((itk[:3, :3] @ about + itk[:3, 3] - about).tolist())
    return transform


def _motion(transform: sitk.Euler3DTransform) -> Motion:
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    about = np.array(transform.GetCenter())
    itk = np.eye(4)
    itk[:3, :3] = turn
    itk[:3, 3] = about + np.array(transform.GetTranslation()) - turn @ about
    return _flipped(itk)


def _flipped(motion: Motion) -> Motion:
    """Between the axes of NIfTI and those of ITK."""
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
