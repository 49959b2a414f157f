"""Python files as syntax trees, each parsed once for all tests of a process; nobody may change one."""

import ast
import functools


@functools.cache
def tree_of(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Every node of the tree, as `ast.walk` gives them."""
    return tuple(ast.walk(tree_of(source)))
