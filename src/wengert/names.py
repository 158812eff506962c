"""What a function of the user's calls its arguments and the arrays that it captures. Knows no tape."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import tree


def argument_names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """A name for every leaf of the arguments, written as Python would.

    Examples
    --------
    >>> argument_names(lambda params, x: x, ({"w": 1.0, "b": 2.0}, 3.0))
    ["params['b']", "params['w']", 'x']
    """
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument")
    names += [f"{rest}[{k}]" for k in range(len(args) - len(names))]
    return [name + path for name, x in zip(names, args, strict=False) for path in tree.paths(x)]


def array_names(f: Callable[..., Any], arrays: Sequence[Any]) -> list[str]:
    """For every array the name by which the function reads it from around it, or "" where it does not."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(f))
    except (TypeError, ValueError):  # not a plain function; a variable around it that has no value yet
        return [""] * len(arrays)
    known = {id(x): name for name, x in {**found.globals, **found.nonlocals}.items() if isinstance(x, np.ndarray)}
    return [known.get(id(x), "") for x in arrays]
