"""Pytrees, through optree: containers of leaves taken apart and put together. Knows no tracer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import optree

Structure = optree.PyTreeSpec

NAMESPACE = "wengert"
"""Where users register their own containers (or in optree's global namespace)."""


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Leaves and structure; `None` is a container without leaves, as in JAX."""
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The inverse of `flatten`."""
    return optree.tree_unflatten(structure, leaves)


def paths(tree: Any) -> list[str]:
    """For each leaf the way to it from the root, written as Python would: `['w'][0]`."""
    accessors = optree.tree_accessors(tree, namespace=NAMESPACE)
    return [a.codify("") for a in accessors]


def map(function: Any, tree: Any, *rest: Any) -> Any:
    """`function` applied leaf by leaf."""
    return optree.tree_map(function, tree, *rest, namespace=NAMESPACE)
