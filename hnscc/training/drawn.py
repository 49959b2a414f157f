"""The slices that a trial trains and validates on: the fold's own, or augmented ones that are drawn for it."""

from collections.abc import Callable, Mapping

import numpy as np

from hnscc.base.seeds import derive_seed
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Slices
from hnscc.study.schema import Variant
from hnscc.training.augment import augment, augment_copies


def training_slices(variant: Variant, data: FoldData, seeds: Mapping[str, int]) -> Callable[[int], Slices]:
    """Epoch (from 1) -> the slices of that epoch: the same in each, or with `copies: fresh` drawn anew.

    Where nothing is augmented they are the arrays that all trials of a machine share.
    """
    settings, seed = variant.augmentation, seeds["augmentation"]
    own = data.slices(variant.modalities, "train")
    if settings.copies == 0:
        return lambda epoch: own
    images, masks = own.whole()
    if settings.copies == "fresh":
        return lambda epoch: _as_slices(
            *augment(images, masks, settings, seed=derive_seed(seed, "fresh", epoch))
        )
    kept = settings.originals == "kept"
    drawn = _as_slices(
        *augment_copies(images, masks, settings, copies=settings.copies, originals=kept, seed=seed)
    )
    return lambda epoch: drawn


def training_count(variant: Variant, slices: int) -> int:
    """The number of slices of an epoch, where the fold has so many for training."""
    settings = variant.augmentation
    if settings.copies in (0, "fresh"):
        return slices
    return slices * (int(settings.copies) + (settings.originals == "kept"))


def validation_slices(variant: Variant, data: FoldData, seeds: Mapping[str, int]) -> Slices:
    """The originals; in the as_written reading (`validation: true`) their augmented copies instead."""
    settings = variant.augmentation
    own = data.slices(variant.modalities, "validation")
    if not (settings.validation and settings.copies):
        return own
    seed = derive_seed(seeds["augmentation"], "validation")
    copies = int(settings.copies)
    return _as_slices(*augment_copies(*own.whole(), settings, copies=copies, originals=False, seed=seed))


def _as_slices(images: np.ndarray, masks: np.ndarray) -> Slices:
    return Slices(images, masks, np.arange(len(images)), range(images.shape[1]))
