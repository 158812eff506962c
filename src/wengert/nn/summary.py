"""What `print(model)` shows: layers, shapes, counts. Knows no particular layer."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

from wengert import tree
from wengert.nn.module import Module, called

Row = tuple[str, str, str, str]
"""Place in the model, kind of layer, its own arrays, how many numbers in all."""


def table(model: Module) -> str:
    """A table of a model's layers with the shapes of their arrays and the number of parameters."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False)
    dtypes = sorted({str(x.dtype) for x in tree.flatten(model)[0] if hasattr(x, "dtype")})
    grid.add_column("layer", footer="total")
    grid.add_column("kind")
    grid.add_column("arrays", footer=", ".join(dtypes))
    grid.add_column("parameters", footer=f"{_count(model):,}", justify="right")
    for row in _rows("model", model, 0):
        grid.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=200, color_system=None, highlight=False, markup=False).print(grid)
    lines = [line[1:].rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line)


def _count(node: Any) -> int:
    return sum(math.prod(getattr(x, "shape", ())) for x in tree.flatten(node)[0])


def _rows(place: str, node: Any, depth: int) -> Iterator[Row]:
    """One row for a module or a dict of arrays, then those of its parts."""
    if isinstance(node, tuple | list):
        for k, part in enumerate(node):
            yield from _rows(f"{place}[{k}]", part, depth)
        return
    parts = {name: vars(node)[name] for name in node._leaves} if isinstance(node, Module) else node
    if not isinstance(parts, dict):
        return
    arrays = {k: x for k, x in parts.items() if hasattr(x, "shape")}
    shapes = ", ".join(f"{k} {'×'.join(map(str, x.shape)) or 'scalar'}" for k, x in arrays.items())
    count = _count(node)
    yield "  " * depth + place, _kind(node), shapes, f"{count:,}" if count else ""
    for name, part in parts.items():
        if name not in arrays:
            yield from _rows(str(name), part, depth + 1)


def _kind(node: Any) -> str:
    """`LSTM`, and what it is set to: `Dropout rate=0.5`."""
    if not isinstance(node, Module):
        return ""
    flags = {n: vars(node)[n] for n in node._flags}
    words = [f"{n}={called(v) if callable(v) else v}" for n, v in flags.items()]
    return " ".join([type(node).__name__, *words])
