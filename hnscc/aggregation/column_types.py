"""The types of the tables' columns."""

import pyarrow as pa

TEXT, WHOLE, REAL, YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()
