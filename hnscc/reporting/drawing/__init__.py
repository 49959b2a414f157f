"""These modules draw the report's figures: each function takes table rows and returns a Figure, or None where there
is nothing to draw. What a figure means is said in the section that shows it."""
