"""A picture as PNG or PDF, through matplotlib. Knows pictures only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wengert import _figure
from wengert.draw.picture import Box, Line, Picture, Text

_DOTS = 96.0
"""Pixels of a picture in an inch."""
_MOST = 30_000
"""Pixels of a file along its longer side, at most."""


def save(picture: Picture, path: Path) -> None:
    """Write the picture in the format that the path's ending names."""
    figure = _figure.figure(picture.width / _DOTS, picture.height / _DOTS)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, picture.width), ylim=(picture.height, 0.0))
    axes.axis("off")
    for order, item in enumerate(picture.items):
        if isinstance(item, Text):
            _add_text(axes, item, order)
        else:
            axes.add_patch(_box(item, order) if isinstance(item, Box) else _line(item, order))
    longest = max(picture.width, picture.height)
    figure.savefig(path, dpi=min(2 * _DOTS, _MOST / longest * _DOTS))


def _points(pixels: float) -> float:
    return pixels * 72.0 / _DOTS


def _add_text(axes: Any, item: Text, order: int) -> None:
    axes.text(
        item.x, item.y, item.text, fontsize=_points(item.size), color=item.colour, family="DejaVu Sans Mono",
        weight="bold" if item.bold else "normal", ha="right" if item.right else "left", va="baseline",
        zorder=order, parse_math=False,
    )  # fmt: skip


def _box(item: Box, order: int) -> Any:
    style = f"round,pad=0,rounding_size={item.radius}"
    return _figure.part("patches").FancyBboxPatch(
        (item.x, item.y), item.width, item.height, boxstyle=style, facecolor=item.fill, edgecolor=item.stroke,
        linewidth=_points(item.thickness), linestyle=(0, (4, 3)) if item.dashed else "solid", zorder=order,
    )  # fmt: skip


def _line(item: Line, order: int) -> Any:
    path = _figure.part("path").Path
    places, codes = [], []
    for start, steps in item.strokes:
        places.append(start)
        codes.append(path.MOVETO)
        for step in steps:
            places += step
            codes += [path.CURVE4] * 3 if len(step) == 3 else [path.LINETO]
    return _figure.part("patches").PathPatch(
        path(places, codes), facecolor=item.colour if item.fill else "none",
        edgecolor="none" if item.fill else item.colour, linewidth=_points(item.thickness),
        linestyle=(0, (5, 4)) if item.dashed else "solid", zorder=order,
    )  # fmt: skip
