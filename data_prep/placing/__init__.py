"""One grid for all modalities of a scan, square slices of it, and the way back; what is found in a scan on the way."""
