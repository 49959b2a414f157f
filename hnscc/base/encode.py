"""Tables and arrays as bytes, for `files.write_bytes` and the hashes that vouch for them, and tables from these bytes.
The same input gives the same bytes."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a whole Parquet file, compressed by zstd."""
    sink = pa.BufferOutputStream()  # Arrow's own sink: other threads can run while it is written to
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def table_of_parquet(content: bytes) -> pa.Table:
    """Return the table that a whole Parquet file holds. Raises pyarrow.ArrowException, or OSError, where it is damaged.

    It is read only by this thread: if one of Arrow's threads still holds the bytes when a command ends, the process
    aborts with exit code 134 (about 1 time in 60; pyarrow 26.0.1).
    """
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        return file.read(use_threads=False)


def npz_bytes(**arrays: NDArray[Any]) -> bytes:
    """Return a whole compressed .npz file with these arrays by name, of any shape, dtype and unit of values. Each has
    a CRC-32."""
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    return sink.getvalue()
