"""Studies made of few settings, with what every study file needs beside them, and the messages that refuse them."""

from typing import Any

import pytest

from hnscc.base.errors import InputError
from hnscc.study.loading import parse_study
from hnscc.study.schema import Study

SMALL = {"name": "x", "store": "x.zarr", "variants": {"pet": {"modalities": ["pet"]}}}


def study(**settings: Any) -> Study:
    return parse_study(SMALL | settings)


def refused(**settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        study(**settings)
    return str(caught.value)


def one_network(architecture: str, **more: Any) -> dict[str, Any]:
    return {"training": {"network": {"architecture": architecture} | more}}
