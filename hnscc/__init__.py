"""Repeat-run studies of medical image segmentation. No Ray in this package, but for cli.py."""

__version__ = "0.1.0"
