"""Tables and arrays as bytes, for `files.write_bytes` and the hashes that vouch for them. Same input, same bytes."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def parquet_bytes(table: pa.Table) -> bytes:
    """A whole Parquet file, compressed by zstd."""
    sink = pa.BufferOutputStream()  # of Arrow's own: other threads run while it is written to
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """A whole compressed .npz file; each of its members carries a CRC-32."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()
