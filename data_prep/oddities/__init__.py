"""Compares a cohort's scans: what is odd is reported and kept in the store, and what cannot be right is refused."""
