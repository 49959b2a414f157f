"""The types of the tables' columns, and of their rows."""

from typing import Any

import pyarrow as pa

TEXT, WHOLE, REAL, YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TableRow = dict[str, Any]  # a row of one of the run folder's tables: column -> value
