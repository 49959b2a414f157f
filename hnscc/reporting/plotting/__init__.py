"""These modules make the report's figures: each function takes table rows and returns a Figure, or None where there is
nothing to show. The section that shows a figure says what it means."""
