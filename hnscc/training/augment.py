"""The slices that a trial trains and validates on: the fold's own, or augmented copies that are made for it.

The augmentation is the paper's (section 2.2), done by albumentations. It is keyed: the same seed gives the same images.
"""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from hnscc.base.arrays import Images, Integers, Masks
from hnscc.base.seeds import derive_seed, shortened
from hnscc.cohort.fold import FoldData
from hnscc.cohort.slices import Slices
from hnscc.study.variant_schema import Augmentation, Variant

if TYPE_CHECKING:
    import albumentations as A

# What was chosen at random for one slice: each transform that is applied, in order, with its parameters.
Moves = list[tuple["A.DualTransform", dict[str, Any]]]


def build_pipeline(settings: Augmentation) -> "A.Compose":
    """Return the transforms: flips left-right and up-down, then one move that translates and rotates together.

    Images are interpolated linearly and masks by the nearest pixel, with the same map. Pixels that come in from outside
    of the image are 0.
    """
    # albumentations reads this when it is imported. Without it, the library asks the network for a newer version.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as A  # imported here: it takes a second, and most processes augment nothing

    most = settings.translate  # as a share of the side
    return A.Compose(
        [
            A.HorizontalFlip(p=settings.flip_left_right),
            A.VerticalFlip(p=settings.flip_up_down),
            A.Affine(
                translate_percent={"x": (-most, most), "y": (-most, most)},
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


def random_moves(settings: Augmentation, count: int, pixels: int, *, seed: int) -> list[Moves]:
    """Return how each of `count` slices of pixels x pixels is to be moved, without moving any.

    The moves depend only on the seed and on the slice's position.
    """
    pipeline = build_pipeline(settings)
    # All transforms share one generator of each kind. `set_random_seed` would give each transform its own generator
    # with the same seed, and both flips would then always come together.
    key = shortened(seed)
    pipeline.set_random_state(np.random.default_rng(key), random.Random(key))
    # The library chooses parameters only while it moves an image; any image of this size will do.
    empty = np.zeros((pixels, pixels, 1), np.float32)
    moves = []
    for _ in range(count):
        pipeline(image=empty)
        moves.append([(each, each.params) for each in pipeline.transforms if each.params])
    return moves


def move(images: Images, masks: Masks, moves: Sequence[Moves]) -> None:
    """Move each slice, in place: images float32 (N, C, H, W) in 0..1, masks uint8 (N, H, W) of 0 and 1, N moves."""
    cv2.setNumThreads(1)
    for image, mask, steps in zip(images, masks, moves, strict=True):
        moved = {"image": np.ascontiguousarray(image.transpose(1, 2, 0)), "mask": mask.copy()}
        for transform, parameters in steps:
            moved = transform.apply_with_params(parameters, **moved)
        image[:] = moved["image"].reshape(*image.shape[1:], -1).transpose(2, 0, 1)
        mask[:] = moved["mask"]


@dataclass(frozen=True)
class Copies:
    """Augmented copies of slices. Only the moves are kept: a copy is made again each time that it is read.

    own: the N slices. sets: one entry for each set of N copies, in the order in which the sets follow each other: how
    each of the N slices is moved, or None where the set is the slices as they are.
    """

    own: Slices
    sets: Sequence[Sequence[Moves] | None]

    def __len__(self) -> int:
        return len(self.own) * len(self.sets)

    def batch(self, positions: Integers) -> tuple[Images, Masks]:
        """Return images (B, channels, H, W) in 0..1 and masks (B, H, W) at these positions in 0..n-1, int (B,).

        As in `Slices`, but the arrays are made anew by each call, with the same values.
        """
        images, masks = self.own.batch(positions % len(self.own))
        for at, position in enumerate(positions):
            number, which = divmod(int(position), len(self.own))
            if (moves := self.sets[number]) is not None:
                move(images[at : at + 1], masks[at : at + 1], [moves[which]])
        return images, masks


def training_slices(
    variant: Variant, data: FoldData, seeds: Mapping[str, int]
) -> Callable[[int], Slices | Copies]:
    """Return a function of the epoch (from 1) that gives its slices: the same ones in each epoch, or new copies with
    `copies: fresh`.

    Their pixels are shared by all trials of a machine.
    """
    settings, seed = variant.augmentation, seeds["augmentation"]
    own = data.slices(variant.modalities, "train")
    if settings.copies == 0:
        return lambda epoch: own
    if settings.copies == "fresh":
        return lambda epoch: Copies(own, [_moves(own, settings, derive_seed(seed, "fresh", epoch))])
    copies = _copies(own, settings, seed, originals=settings.originals == "kept")
    return lambda epoch: copies


def training_count(variant: Variant, slices: int) -> int:
    """Return how many slices an epoch has, given how many the fold has for training (`slices`)."""
    settings = variant.augmentation
    if settings.copies in (0, "fresh"):
        return slices
    return slices * (int(settings.copies) + (settings.originals == "kept"))


def validation_slices(variant: Variant, data: FoldData, seeds: Mapping[str, int]) -> Slices | Copies:
    """Return the fold's own slices for validation, or with the preset as_written (`validation: true`) augmented copies
    of them."""
    settings = variant.augmentation
    own = data.slices(variant.modalities, "validation")
    if not (settings.validation and settings.copies):
        return own
    return _copies(own, settings, derive_seed(seeds["augmentation"], "validation"), originals=False)


def _copies(own: Slices, settings: Augmentation, seed: int, *, originals: bool) -> Copies:
    """Return `copies` augmented copies of every slice, preceded by the originals where these are kept."""
    keys = [derive_seed(seed, "copy", copy) for copy in range(int(settings.copies))]
    return Copies(own, [*([None] if originals else []), *(_moves(own, settings, key) for key in keys)])


def _moves(own: Slices, settings: Augmentation, seed: int) -> list[Moves]:
    return random_moves(settings, len(own), own.masks.shape[-1], seed=seed)
