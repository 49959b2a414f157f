"""Python files as syntax trees. Each is parsed once for all tests of a process, so that no test may change one."""

import ast
import functools


@functools.cache
def tree_of(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Return every node of the tree, in the order of `ast.walk`."""
    return tuple(ast.walk(tree_of(source)))
