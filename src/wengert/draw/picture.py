"""A picture as a list of boxes, lines and texts at their places. Knows neither what they mean nor file formats.

Everything is measured in pixels, y downwards. Texts are set in a monospaced font: its advance is the same in every
renderer, so a box can be made as wide as its text without asking for the font.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

ADVANCE = 0.61
"""Width of a character over the font's size: 0.60 in DejaVu, Menlo, Liberation and Courier, less in Consolas."""

Point = tuple[float, float]
Step = tuple[Point, ...]
"""One point: a straight line to it. Three: a cubic curve, two control points and its end."""


class Text(NamedTuple):
    """One line of text; `x` is its left end, or its right end with `right`, `y` its base line."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    bold: bool = False
    right: bool = False


class Box(NamedTuple):
    """A rectangle with round corners; `note` is shown where the pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    thickness: float = 1.0
    dashed: bool = False
    radius: float = 5.0
    note: str = ""


class Line(NamedTuple):
    """Strokes: each a start and the steps from there; with `fill`, areas instead of strokes."""

    strokes: tuple[tuple[Point, tuple[Step, ...]], ...]
    colour: str
    thickness: float = 1.2
    dashed: bool = False
    fill: bool = False
    note: str = ""


@dataclass
class Picture:
    """Things to draw, first to last, on white."""

    width: float
    height: float
    items: list[Text | Box | Line] = field(default_factory=list)
    title: str = ""


def width_of(text: str, size: float) -> float:
    """How wide a text is."""
    return len(text) * size * ADVANCE


def clipped(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
