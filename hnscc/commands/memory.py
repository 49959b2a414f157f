"""The memory that a study takes, as far as it is known before an image is read: for `hnscc check`."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from hnscc.cohort.splits import FoldPlan
from hnscc.cohort.store import Store
from hnscc.study.schema import Study

# Weights, gradients, the two moments of Adam, and the weights of the best epoch: float32 each.
COPIES_OF_WEIGHTS = 5
FLOAT, BYTE, PROBABILITY = 4, 1, 2  # bytes: a pixel of an image, of a mask, of a stored probability


class MemoryFacts(TypedDict):
    """MiB, beside Python and its libraries. driver: of the process that reads the slices of all folds, once: the used
    ones and, with `evaluation: {slices: all}`, whole scans of validation and test.
    object_store: of Ray's copy of them, which all workers of a machine share. worker: at most, of one worker's own:
    weights with what is kept of them, and its predictions with their masks while they are scored and compressed;
    activations of a batch come on top. Augmented slices are made when a batch is read, and not kept."""

    driver: float
    object_store: float
    worker: float


def memory_of(
    study: Study, store: Store, plans: Sequence[FoldPlan], parameters: Mapping[str, int]
) -> MemoryFacts:
    """Return the memory that is known without reading an image. parameters: variant -> trained parameters of
    its network."""
    used = {(each.scan_id, each.z) for plan in plans for _, each in plan.scored}
    slices = len(used) * _slice_bytes(store, len(store.modalities))
    weights = max(parameters[name] for name in study.variants) * FLOAT * COPIES_OF_WEIGHTS
    worker = max(_predicted_bytes(store, plan) for plan in plans) + weights
    return {"driver": _mib(slices), "object_store": _mib(slices), "worker": _mib(worker)}


def _predicted_bytes(store: Store, plan: FoldPlan) -> int:
    """Return what one worker predicts in a fold, its masks, and the compressed file, which is no larger than what
    it holds."""
    return len(plan.scored) * store.size**2 * (PROBABILITY + BYTE + PROBABILITY)


def _slice_bytes(store: Store, channels: int) -> int:
    return store.size**2 * (channels * FLOAT + BYTE)


def _mib(count: float) -> float:
    return round(count / 2**20, 1)
