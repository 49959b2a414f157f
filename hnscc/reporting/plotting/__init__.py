"""These modules make the report's figures: each function takes table rows and returns a Figure, or None where there
is nothing to show. What a figure means is said in the section that shows it."""
