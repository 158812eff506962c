"""Pytrees, through optree: containers of leaves taken apart and put together. Knows no tracer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def taken_apart(example: Any) -> Callable[[Any], tuple[Iterable[Any], Any]] | None:
    """How containers of this one's class are taken apart: into children and the rest; None for a leaf."""
    entry = optree.register_pytree_node.get(type(example), namespace=NAMESPACE)
    if entry is None:
        return None
    flatten_one: Any = entry.flatten_func
    return lambda x: flatten_one(x)[:2]


def described(structure: Structure) -> Any:
    """A structure of dicts, lists, tuples and None in plain words, which `structure_of` reads; None for a leaf.

    Raises `TypeError` for another container, naming its class.
    """
    if structure.is_leaf():
        return None
    kind: Any = structure.type
    if kind not in (dict, list, tuple, type(None)):
        raise TypeError(f"{kind.__module__}.{kind.__qualname__}")
    children = [described(c) for c in structure.children()]
    if kind is not dict:
        return [kind.__name__, children]
    one: Any = structure.one_level()
    keys = list(one.unflatten(structure.entries()))
    if any(type(k) not in (str, int, bool, float) for k in keys):
        raise TypeError("dict with keys other than strings and numbers")
    by_key = dict(zip(structure.entries(), children, strict=True))
    return ["dict", [[k, by_key[k]] for k in keys]]


def structure_of(description: Any) -> Structure:
    """The inverse of `described`; `ValueError` for what is no description."""

    def built(what: Any) -> Any:
        if what is None:
            return 0
        name, inside = what
        if name == "dict":
            return {key: built(child) for key, child in inside}
        if name == "NoneType":
            return None
        if name not in ("list", "tuple"):
            raise ValueError(f"no container: {name!r}")
        return (list if name == "list" else tuple)(built(c) for c in inside)

    return flatten(built(description))[1]
