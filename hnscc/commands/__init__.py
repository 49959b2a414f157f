"""What a user calls: the `hnscc` command, and the functions that `import hnscc` offers (api).

The commands only turn arguments into calls of these functions, and what they return into text. Nothing imports this
wing but the `hnscc` package itself, and that only once one of its functions is used.
"""
