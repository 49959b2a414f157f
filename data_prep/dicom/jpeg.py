"""JPEG, by GDCM in a process of its own: some damaged files end it, of others it complains on standard error alone."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from data_prep.dicom.header import UNREADABLE, quiet

_TIMEOUT = 600  # seconds, for all frames of a series


@dataclass(frozen=True)
class Coded:
    """One compressed frame, and what its file states of its pixels."""

    stream: bytes = field(repr=False)
    syntax: str
    rows: int
    columns: int
    allocated: int  # bits, as `stored`
    stored: int
    signed: int  # 0 or 1


def decode_jpeg(frames: Sequence[Coded]) -> list[NDArray[np.generic]] | None:
    """Return the stored values (rows, columns) of each frame, None where one cannot be decoded or is damaged."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", "from data_prep.dicom.jpeg import main; main()"],
            input=_request(frames),
            capture_output=True,
            timeout=_TIMEOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    sizes = [each.rows * each.columns * each.allocated // 8 for each in frames]
    if ran.returncode or len(ran.stdout) != sum(sizes):
        return None
    ends = np.cumsum(sizes)
    return [
        np.frombuffer(ran.stdout[end - size : end], f"<u{each.allocated // 8}").reshape(
            each.rows, each.columns
        )
        for each, size, end in zip(frames, sizes, ends, strict=True)
    ]


def main() -> None:
    """Read a request from standard input, write the decoded frames behind each other, and exit; 1 where one fails, or
    GDCM complains of it."""
    head, _, rest = sys.stdin.buffer.read().partition(b"\n")
    facts = json.loads(head)
    with quiet(), tempfile.TemporaryFile() as complaints:
        for syntax in {each["syntax"] for each in facts}:
            _ = get_decoder(UID(syntax)).available_plugins  # imported here: what that prints is no complaint
        os.dup2(complaints.fileno(), sys.stderr.fileno())
        for each in facts:
            stream, rest = rest[: each["stream"]], rest[each["stream"] :]
            try:
                pixels = _decoded(Coded(**{**each, "stream": stream}))
            except UNREADABLE:
                sys.exit(1)
            sys.stdout.buffer.write(pixels.astype(f"<u{each['allocated'] // 8}").tobytes())
        if os.fstat(complaints.fileno()).st_size:
            sys.exit(1)


def _request(frames: Sequence[Coded]) -> bytes:
    """A line of JSON, in which a stream is told by its length, and then the streams."""
    facts = [{**asdict(each), "stream": len(each.stream)} for each in frames]
    return json.dumps(facts).encode() + b"\n" + b"".join(each.stream for each in frames)


def _decoded(frame: Coded) -> NDArray[np.generic]:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(frame.syntax)
    data.Rows, data.Columns, data.SamplesPerPixel = frame.rows, frame.columns, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", frame.signed
    data.BitsAllocated, data.BitsStored, data.HighBit = frame.allocated, frame.stored, frame.stored - 1
    data.PixelData = encapsulate([frame.stream if len(frame.stream) % 2 == 0 else frame.stream + b"\0"])
    data["PixelData"].VR = "OB"
    pixels, _ = get_decoder(UID(frame.syntax)).as_array(data, raw=True, decoding_plugin="gdcm")
    if pixels.shape != (frame.rows, frame.columns):
        raise ValueError("another size than stated")
    return pixels
