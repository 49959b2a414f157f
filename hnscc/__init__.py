"""Repeat-run studies of medical image segmentation. No Ray in this package, but for cli.py."""

__version__ = "0.1.0"

import os

# Read by NumPy's BLAS when it is imported: the products here are small, threads cost them more than they give, and with
# one thread the order of sums is the same on every machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
