"""Identifiers that tests plant are found again, however they are kept: else one that came out would not be seen."""

import base64
import gzip
import io
import zipfile
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from identifiers import (
    PLACES,
    UID,
    planted,
)
from leaks import found_below, found_in
from PIL import Image, PngImagePlugin


def test_every_place_has_an_identifier_of_its_own():
    assert len({planted(place) for place in PLACES}) == len(PLACES) >= 60


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", content)
    return file.getvalue()


def _parquet(text: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["b" * 999, text]}), file, compression="zstd")
    return file.getvalue()


def _picture(text: str) -> bytes:
    file, described = io.BytesIO(), PngImagePlugin.PngInfo()
    described.add_text("Title", text, zip=True)
    Image.new("L", (2, 2)).save(file, "png", pnginfo=described)
    return file.getvalue()


KEPT: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "latin-1": lambda text: text.encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-16 of the other order": lambda text: text.encode("utf-16-be"),
    "capitals": lambda text: text.upper().encode(),
    "gzip in zip": lambda text: _zipped(gzip.compress(text.encode())),
    "Parquet": _parquet,
    "a picture in a page": lambda text: (
        b"<img src='data:image/png;base64,%s'>" % base64.b64encode(_picture(text))
    ),
}


@pytest.mark.parametrize("kept", KEPT)
def test_an_identifier_is_found_however_it_is_kept(kept):
    content = KEPT[kept](f"{'a' * 99}{planted('descrip')}")
    assert found_in(content) == {"descrip"}
    assert found_in(KEPT[kept](f"{UID}.1 20170813")) == {"a UID", "a date"}
    assert found_in(KEPT[kept]("nothing, 9.20170813, 120170813")) == set()


def test_an_identifier_is_found_in_names_and_stores(tmp_path):
    (tmp_path / planted("file")).mkdir()
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    values = np.frombuffer(planted("private").encode() + bytes(range(240)), np.uint8)
    group.create_array("a", data=values, compressors=zarr.codecs.GzipCodec())
    found = found_below(tmp_path)
    assert found.pop(planted("file")) == {"file"} and found["s.zarr"] == {"private"}
