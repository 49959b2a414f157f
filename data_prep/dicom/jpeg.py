"""Decodes JPEG by GDCM in a process of its own, since some damaged files crash it and others only print complaints."""

import json
import os
import signal
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
from hnscc.base.errors import WorkerError
from hnscc.base.in_words import count_of

TIMEOUT_S = 600  # seconds, for all frames of a series
_DAMAGED = 3  # exit code; with 1, Python itself ends where something else fails
# By these signals the decoder itself ends the process: for damaged streams GDCM throws what nothing catches.
_CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
_GDCM = "gdcm"


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


def decode_jpeg(frames: Sequence[Coded], where: str) -> list[NDArray[np.generic]] | None:
    """Return the stored values (rows, columns) of each frame, None where one cannot be decoded or is damaged.

    WorkerError, which names `where`, where the process could not do its work for another reason: no answer in time, no
    GDCM, or an end from outside, as by a system without memory.
    """
    try:
        ran = subprocess.run(
            [sys.executable, "-c", "from data_prep.dicom.jpeg import main; main()"],
            input=_request(frames),
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _not_done(where, f"no answer within {TIMEOUT_S} s") from None
    if ran.returncode == _DAMAGED or -ran.returncode in _CRASHES:
        return None
    sizes = [each.rows * each.columns * each.allocated // 8 for each in frames]
    if ran.returncode or len(ran.stdout) != sum(sizes):
        raise _not_done(where, _end_of(ran, sum(sizes)))
    ends = np.cumsum(sizes)
    return [
        np.frombuffer(ran.stdout[end - size : end], f"<u{each.allocated // 8}").reshape(
            each.rows, each.columns
        )
        for each, size, end in zip(frames, sizes, ends, strict=True)
    ]


def _end_of(ran: subprocess.CompletedProcess[bytes], size: int) -> str:
    """Return how the process ended, in words. Its last line of output is at most Python's own error, from before it
    looked at a file, or only names a kind of error (`main`)."""
    if ran.returncode < 0:
        name = signal.Signals(-ran.returncode).name
        return f"one that was ended by {name}, most often by the system because memory ran out"
    if not ran.returncode:
        return f"{len(ran.stdout)} of {count_of(size, 'byte')}"
    said = ran.stderr.decode(errors="replace").strip().splitlines() or ["no word of it"]
    return f"exit code {ran.returncode}: {said[-1]}"


def _not_done(where: str, found: str) -> WorkerError:
    return WorkerError(
        "The process that decodes JPEG could not do its work.",
        where=where,
        expected="the pixels, or that they are damaged",
        found=found,
        do="give the same command again, with fewer --workers or more memory; or decompress the files before, for "
        "example with gdcmconv --raw",
    )


def main() -> None:
    """Read a request from standard input, write the decoded frames one after another, and exit.

    The code is _DAMAGED where a frame fails or GDCM complains of it. Of any other failure only the kind is printed on
    standard error, since the text of an error may quote a header.
    """
    head, _, rest = sys.stdin.buffer.read().partition(b"\n")
    facts = json.loads(head)
    with quiet(), tempfile.TemporaryFile() as complaints:
        for syntax in {each["syntax"] for each in facts}:
            # Imported here: what that prints is no complaint of a file.
            if _GDCM not in get_decoder(UID(syntax)).available_plugins:
                sys.exit("GDCM cannot be imported (package python-gdcm)")
        ours = os.dup(sys.stderr.fileno())
        os.dup2(complaints.fileno(), sys.stderr.fileno())
        for each in facts:
            stream, rest = rest[: each["stream"]], rest[each["stream"] :]
            try:
                pixels = _decoded(Coded(**{**each, "stream": stream}))
            except MemoryError as error:
                os.write(ours, type(error).__name__.encode())
                sys.exit(1)
            except UNREADABLE:
                sys.exit(_DAMAGED)
            sys.stdout.buffer.write(pixels.astype(f"<u{each['allocated'] // 8}").tobytes())
        if os.fstat(complaints.fileno()).st_size:
            sys.exit(_DAMAGED)


def _request(frames: Sequence[Coded]) -> bytes:
    """Return a line of JSON, which states the length of each stream, followed by the streams."""
    facts = [{**asdict(each), "stream": len(each.stream)} for each in frames]
    return json.dumps(facts).encode() + b"\n" + b"".join(each.stream for each in frames)


def _decoded(frame: Coded) -> NDArray[np.generic]:
    """Return the stored numbers (rows, columns) of a compressed frame; ValueError where its size is not as stated."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(frame.syntax)
    data.Rows, data.Columns, data.SamplesPerPixel = frame.rows, frame.columns, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", frame.signed
    data.BitsAllocated, data.BitsStored, data.HighBit = frame.allocated, frame.stored, frame.stored - 1
    data.PixelData = encapsulate([frame.stream if len(frame.stream) % 2 == 0 else frame.stream + b"\0"])
    data["PixelData"].VR = "OB"
    pixels, _ = get_decoder(UID(frame.syntax)).as_array(data, raw=True, decoding_plugin=_GDCM)
    if pixels.shape != (frame.rows, frame.columns):
        raise ValueError(f"a frame is {frame.rows} x {frame.columns}, not {pixels.shape}; leave it out")
    return pixels
