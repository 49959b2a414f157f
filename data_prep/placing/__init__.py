"""Places the modalities of a scan on one grid, makes square slices, maps masks back, and finds facts of a scan on
the way."""
