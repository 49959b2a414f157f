"""Studies with a search, and the errors that faulty ones raise."""

from collections.abc import Callable
from typing import Any

import pytest

from hnscc.base.errors import InputError
from hnscc.study.loading import parse_study
from hnscc.study.schema import Study

RANGES = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "training.batch_size": {"low": 4, "high": 16},
    "training.network": [
        {"architecture": "paper", "width": 2},
        {"architecture": "unet", "encoder": "resnet18"},
    ],
    "augmentation.copies": [0, 2, "fresh"],
}


def searched(search: dict[str, Any] | None = None, **study: Any) -> Study:
    raw = {"method": "random", "ranges": RANGES, "configurations": 6, "budget": {"trials": 30}}
    base = {"name": "s", "store": "none.zarr", "modalities": ["pet", "mri"], "repeats": 7}
    return parse_study(base | {"search": raw | (search or {})} | study)


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)
