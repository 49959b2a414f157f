"""The paper's augmentation (section 2.2) by albumentations, keyed: the same seed gives the same images."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from hnscc.base.arrays import Images, Masks
from hnscc.study.schema import Augmentation

if TYPE_CHECKING:
    import albumentations as A

# What was drawn for one slice: each transform that is applied, in order, with its parameters.
Moves = list[tuple["A.DualTransform", dict[str, Any]]]


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


def draw_moves(settings: Augmentation, count: int, pixels: int, *, seed: int) -> list[Moves]:
    """How each of `count` slices of pixels x pixels is to be moved; nothing is moved yet.

    The draws depend on the seed and the slice's position alone.
    """
    pipeline = build_pipeline(settings)
    pipeline.set_random_seed(seed % 2**32)
    empty = np.zeros(
        (pixels, pixels, 1), np.float32
    )  # the library draws while it moves an image: any of this size
    drawn = []
    for _ in range(count):
        pipeline(image=empty)
        drawn.append([(each, each.params) for each in pipeline.transforms if each.params])
    return drawn


def move(images: Images, masks: Masks, moves: Sequence[Moves]) -> None:
    """Move each slice, in place: images float32 (N, C, H, W) in 0..1, masks uint8 (N, H, W) of 0 and 1, N moves."""
    cv2.setNumThreads(1)
    for image, mask, steps in zip(images, masks, moves, strict=True):
        moved = {"image": np.ascontiguousarray(image.transpose(1, 2, 0)), "mask": mask.copy()}
        for transform, drawn in steps:
            moved = transform.apply_with_params(drawn, **moved)
        image[:] = moved["image"].reshape(*image.shape[1:], -1).transpose(2, 0, 1)
        mask[:] = moved["mask"]
