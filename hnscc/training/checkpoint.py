"""A trial's checkpoint: all that its training needs to continue as if it had never stopped.

Two slots are written in turn (`saving` says when). In each, the tensors are written first and the facts that vouch for
them last, so that there is one whole checkpoint at every moment. Speed counts, because on a processor a checkpoint is
written after every epoch. So a slot's file is overwritten in place (its pages are in memory already), nothing waits for
the disk, and the check is crc32c. The tensors are written straight from their memory. safetensors' own writer would
first copy all of them: it took 0.27 s of a processor and 492 MiB more for a resnet18's 171 MB, and this takes 0.08 s
and 163 MiB (medians of 5 interleaved processes each, 2026-11).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c
import torch
from safetensors.torch import load as load_safetensors

from hnscc.base.files import delete, overwrite, storage_errors, write_sealed
from hnscc.study.run_folder import Slot, TrialFolder
from hnscc.training.records import SlotFacts, SoFar, slots_by_epoch

PIECE = 2**18  # bytes
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}


@dataclass(frozen=True)
class Checkpoint:
    """The whole content of a slot. tensors: by name, of any shape."""

    facts: SlotFacts
    tensors: dict[str, torch.Tensor]
    slot: Slot


def save_checkpoint(slot: Slot, so_far: SoFar, tensors: Mapping[str, torch.Tensor]) -> None:
    """Overwrite a slot with these tensors, of any shape, and facts. StorageError where the disk is full or gone."""
    parts = _safetensors(tensors)
    delete(slot.facts)  # they vouch for tensors that are overwritten now
    overwrite(slot.tensors, parts)
    write_sealed(slot.facts, so_far.model_dump(mode="json") | {"crc32c": _crc32c(parts)}, durable=False)


def load_checkpoint(folder: TrialFolder, identity: str) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint of a trial of this identity, or None, and the names of those that cannot
    be used."""
    candidates, damaged = slots_by_epoch(folder)
    refused = [f"{slot.facts.name} is damaged" for slot in damaged]
    for facts, slot in candidates:
        if facts.identity != identity:
            refused.append(f"{slot.facts.name} is of another trial")
        elif (tensors := _tensors(slot, facts.crc32c)) is None:
            refused.append(f"{slot.tensors.name} of epoch {facts.epoch} is gone or damaged")
        else:
            return Checkpoint(facts, tensors, slot), refused
    return None, refused


def _tensors(slot: Slot, crc32c: int) -> dict[str, torch.Tensor] | None:
    """Return the tensors that a slot holds, by name, of any shape; None where its file is gone or damaged."""
    try:
        with storage_errors(slot.tensors):
            content = slot.tensors.read_bytes()
    except FileNotFoundError:
        return None
    return load_safetensors(content) if google_crc32c.value(content) == crc32c else None


def _safetensors(tensors: Mapping[str, torch.Tensor]) -> list[memoryview]:
    """Return a safetensors file as a list of parts, among them the memory of the tensors, of any shape. Nothing is
    copied, except from a GPU."""
    header: dict[str, dict[str, Any]] = {}
    parts: list[memoryview] = []
    end = 0
    for name, value in tensors.items():
        content = _memory(value)
        begin, end = end, end + content.nbytes
        header[name] = {
            "dtype": DTYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [begin, end],
        }
        parts.append(content)
    text = json.dumps(header).encode()
    return [memoryview(len(text).to_bytes(8, "little") + text), *parts]


def _memory(value: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor of any shape and type. They are copied only from a GPU, or where they are
    not contiguous."""
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data.toreadonly()


def _crc32c(parts: list[memoryview]) -> int:
    """Return the crc32c of all parts. The library takes only `bytes`, so they are copied piece by piece, in pieces that
    fit into the processor's cache."""
    total = 0
    for part in parts:
        for start in range(0, part.nbytes, PIECE):
            total = google_crc32c.extend(total, bytes(part[start : start + PIECE]))
    return total
