"""The paper's augmentation (section 2.2) by albumentations, keyed: the same seed gives the same images."""

import os
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hnscc.base.seeds import derive_seed
from hnscc.study.schema import Augmentation

if TYPE_CHECKING:
    import albumentations as A


def build_pipeline(settings: Augmentation) -> "A.Compose":
    """Flips left-right and up-down, then one move that translates and rotates together.

    Images are interpolated linearly and masks by the nearest pixel, by the same map; what comes in from
    outside is 0.
    """
    # Read by albumentations at import: without it, the library asks the network for a newer version.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as A  # here, for it takes a second, and most processes augment nothing

    moves = settings.translate
    return A.Compose(
        [
            A.HorizontalFlip(p=settings.flip_left_right),
            A.VerticalFlip(p=settings.flip_up_down),
            A.Affine(
                translate_percent={"x": (-moves, moves), "y": (-moves, moves)},
                rotate=(-settings.rotate_degrees, settings.rotate_degrees),
                scale=1.0,
                interpolation=cv2.INTER_LINEAR,
                mask_interpolation=cv2.INTER_NEAREST,
                border_mode=cv2.BORDER_CONSTANT,
                fill=0,
                fill_mask=0,
                p=1.0,
            ),
        ]
    )


def augment(
    images: np.ndarray, masks: np.ndarray, settings: Augmentation, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """One augmented copy of each slice, in the order given.

    images float32 (N, C, H, W) in 0..1 and masks uint8 (N, H, W) of 0 and 1, unchanged; returns new arrays of
    the same shapes and dtypes. The draws depend on the seed and the slice's position alone.
    """
    new_images, new_masks = np.empty_like(images), np.empty_like(masks)
    _augment_into(new_images, new_masks, images, masks, settings, seed=seed)
    return new_images, new_masks


def _augment_into(
    new_images: np.ndarray,
    new_masks: np.ndarray,
    images: np.ndarray,
    masks: np.ndarray,
    settings: Augmentation,
    *,
    seed: int,
) -> None:
    cv2.setNumThreads(1)
    pipeline = build_pipeline(settings)
    pipeline.set_random_seed(seed % 2**32)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        moved = pipeline(image=np.ascontiguousarray(image.transpose(1, 2, 0)), mask=mask)
        new_images[i] = moved["image"].reshape(*image.shape[1:], -1).transpose(2, 0, 1)
        new_masks[i] = moved["mask"]


def augment_copies(
    images: np.ndarray, masks: np.ndarray, settings: Augmentation, *, copies: int, originals: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """`copies` augmented copies of every slice, behind the originals where these are kept.

    Returns images float32 (M, C, H, W) and masks uint8 (M, H, W), M = N x (copies + 1) or N x copies.
    """
    # Made where they stay: joined afterwards, they would be there twice.
    sets = copies + originals
    new_images = np.empty((sets, *images.shape), images.dtype)
    new_masks = np.empty((sets, *masks.shape), masks.dtype)
    if originals:
        new_images[0], new_masks[0] = images, masks
    for copy in range(copies):
        position, key = copy + originals, derive_seed(seed, "copy", copy)
        _augment_into(new_images[position], new_masks[position], images, masks, settings, seed=key)
    return new_images.reshape(-1, *images.shape[1:]), new_masks.reshape(-1, *masks.shape[1:])
