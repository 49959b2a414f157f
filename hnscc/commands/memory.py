"""How much memory a study's slices and trainings take, told by `hnscc check` before anything is read."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from hnscc.cohort.splits import FoldPlan
from hnscc.cohort.store import Store
from hnscc.study.plan import SPLITS
from hnscc.study.schema import Study, Variant

# Weights, gradients, the two moments of Adam, and the weights of the best epoch: float32 each.
COPIES_OF_WEIGHTS = 5
FLOAT, BYTE, LEVEL = 4, 1, 2  # bytes: a pixel of an image, of a mask, of a stored probability


class MemoryFacts(TypedDict):
    """MiB, beside Python and its libraries. driver: of the process that reads the slices of all folds, once.
    object_store: of Ray's copy of them, which all workers of a machine share. worker: at most, of one worker's own: its
    augmented slices, predictions, weights and what is kept of these; activations of a batch come on top."""

    driver: float
    object_store: float
    worker: float


def memory_of(
    study: Study, store: Store, plans: Sequence[FoldPlan], parameters: Mapping[str, int]
) -> MemoryFacts:
    """What is known without reading an image. parameters: variant -> trained parameters of its network."""
    used = {(each.scan_id, each.z) for plan in plans for _, each in plan.order}
    slices = len(used) * _slice_bytes(store, len(store.modalities))
    worker = max(
        _own_bytes(variant, store, plan) + parameters[name] * FLOAT * COPIES_OF_WEIGHTS
        for name, variant in study.variants.items()
        for plan in plans
    )
    return {"driver": _mib(slices), "object_store": _mib(slices), "worker": _mib(worker)}


def _own_bytes(variant: Variant, store: Store, plan: FoldPlan) -> int:
    """What one worker draws and predicts for itself in a fold."""
    settings, training = variant.augmentation, len(plan.slices["train"])
    if settings.copies == "fresh":
        drawn = 2 * training  # the originals, and the new draw of each
    else:
        drawn = training * (settings.copies + (settings.copies > 0 and settings.originals == "kept"))
        drawn += settings.validation * settings.copies * len(plan.slices["validation"])
    predicted = sum(len(plan.slices[split]) for split in SPLITS) * store.size**2 * LEVEL
    return drawn * _slice_bytes(store, len(variant.modalities)) + predicted


def _slice_bytes(store: Store, channels: int) -> int:
    return store.size**2 * (channels * FLOAT + BYTE)


def _mib(count: float) -> float:
    return round(count / 2**20, 1)
