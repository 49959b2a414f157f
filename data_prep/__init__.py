"""Scans to store."""
