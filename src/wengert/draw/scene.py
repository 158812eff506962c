"""From a graph to a picture: sizes, colours, boxes with their texts, lines. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wengert.draw.graph import (
    CAPTURED,
    CHECK,
    CONSTANT,
    ELEMENTWISE,
    INPUT,
    LINEAR,
    LOOP,
    OUTPUT,
    Graph,
    Node,
)
from wengert.draw.layout import Edge, Layout, Size, layout
from wengert.draw.picture import Box, Line, Picture, Point, Step, Text, width_of


class Look(NamedTuple):
    """Colours of a kind of box, and what the legend calls it."""

    fill: str
    stroke: str
    name: str


LOOKS = {
    INPUT: Look("#e3f4e6", "#3c8d4f", "input"),
    CAPTURED: Look("#ddf3f3", "#2b8a8a", "captured array"),
    CONSTANT: Look("#f0f0f0", "#8a8a8a", "constant"),
    ELEMENTWISE: Look("#e8effc", "#4a6fc3", "elementwise"),
    LINEAR: Look("#fdf1dc", "#b9822b", "linear, structural"),
    LOOP: Look("#f6f1fc", "#7a55b5", "loop, its step inside"),
    CHECK: Look("#ffffff", "#8a8a8a", "guard: the branch taken"),
    OUTPUT: Look("#fde4ec", "#c2407a", "result"),
}
_INK, _SOFT, _RED, _WIRE, _BACK = "#1d2430", "#6b7480", "#c0261c", "#7d8794", "#7a55b5"
_TITLE, _ROW, _SMALL = 12.5, 11.0, 9.5
_PAD, _LINE, _HEAD, _EDGE = 8.0, 15.0, 19.0, 18.0
_TIP, _LANE = 3.6, 7.0


@dataclass
class _Block:
    """A graph and where its boxes lie, the graphs inside them included."""

    graph: Graph
    plan: Layout
    sizes: list[Size]
    inner: list[list[_Block]]
    margin: float = 0.0
    """Room above, below and on the right for lines from the results of a step back to its start."""

    @property
    def size(self) -> Size:
        return Size(self.plan.size.width + 1.5 * self.margin, self.plan.size.height + 2 * self.margin)


def picture_of(graph: Graph, title: str, under: Sequence[str]) -> Picture:
    """The picture of a graph, with a heading and a legend."""
    block = _measured(graph)
    kinds = [k for k in LOOKS if k in set(_kinds(graph))]
    heading = [width_of(title, 15.0), *(width_of(text, _ROW) for text in under)]
    width = max(block.size.width, *heading, 300.0) + 2 * _EDGE
    top = _EDGE + 16.0 + _LINE * len(under) + 16.0
    picture = Picture(width, 0.0, title=title)
    picture.items.append(Text(_EDGE, _EDGE + 12.0, title, 15.0, _INK, bold=True))
    for k, text in enumerate(under):
        picture.items.append(Text(_EDGE, _EDGE + 14.0 + _LINE * (k + 1), text, _ROW, _SOFT))
    _draw(picture, block, (width - block.size.width) / 2, top)
    picture.height = _legend(picture, kinds, top + block.size.height + 26.0) + _EDGE
    return picture


def _kinds(graph: Graph) -> Iterable[str]:
    for node in graph.nodes:
        yield node.kind
        for inner in node.inner:
            yield from _kinds(inner)


def _legend(picture: Picture, kinds: Sequence[str], y: float) -> float:
    """A row of colours and their names; where it ends."""
    x = _EDGE
    for kind in kinds:
        look = LOOKS[kind]
        need = 16.0 + width_of(look.name, _SMALL) + 14.0
        if x > _EDGE and x + need > picture.width - _EDGE:
            x, y = _EDGE, y + 16.0
        picture.items.append(Box(x, y - 8.5, 11.0, 10.0, look.fill, look.stroke, dashed=kind == CHECK, radius=2.0))
        picture.items.append(Text(x + 16.0, y, look.name, _SMALL, _SOFT))
        x += need
    return y


# --- sizes -------------------------------------------------------------------------------------------------


def _measured(graph: Graph) -> _Block:
    inner = [[_measured(g) for g in node.inner] for node in graph.nodes]
    sizes = [_size(node, blocks) for node, blocks in zip(graph.nodes, inner, strict=True)]
    outer = {k for ends in graph.feedback for k in ends}
    margin = 8.0 + _LANE * len(graph.feedback) if graph.feedback else 0.0
    return _Block(graph, layout(sizes, _edges(graph.nodes), outer), sizes, inner, margin)


def _size(node: Node, inner: Sequence[_Block]) -> Size:
    head = width_of(node.title, _TITLE) + width_of(f"  {node.detail}" if node.detail else "", _ROW)
    label = width_of(f"   {node.label}", _SMALL) if node.label else 0.0
    rows = [width_of(row, _ROW) for row in _rows(node)]
    width = max([head + label, width_of(node.source, _SMALL), *rows])
    height = _HEAD + _LINE * len(rows) + (_LINE - 2.0 if node.source else 0.0) + 3.0
    if inner:
        width = max(width, sum(b.size.width for b in inner) + 24.0 * (len(inner) - 1) + 12.0)
        height += max(b.size.height for b in inner) + 20.0
    return Size(max(width, 42.0) + 2 * _PAD, height)


def _rows(node: Node) -> list[str]:
    return [*node.rows, f"∂ {node.adjoint}"] if node.adjoint else node.rows


def _edges(nodes: Sequence[Node]) -> list[Edge]:
    """Who reads whom; what comes from or goes to a box that stands for several is one line."""
    home = {s: (k, 0 if node.joined else j) for k, node in enumerate(nodes) for j, s in enumerate(node.slots)}
    edges = []
    for k, node in enumerate(nodes):
        found = [home[s] for s in node.reads]
        if node.joined or any(nodes[tail].joined for tail, _ in found):
            found = list(dict.fromkeys(found))
        for at, (tail, result) in enumerate(found):
            count = 1 if nodes[tail].joined else len(nodes[tail].slots)
            edges.append(Edge(tail, k, result, count, at, len(found), node.swaps or node.joined))
    return edges


# --- drawing -----------------------------------------------------------------------------------------------


def _draw(picture: Picture, block: _Block, x: float, y: float) -> None:
    y += block.margin
    for net in block.plan.nets:
        node = block.graph.nodes[net.tail]
        strokes = tuple((_moved(start, x, y), _steps(steps, x, y)) for start, steps in net.strokes)
        note = "" if node.joined else f"%{node.slots[net.result]}"
        picture.items.append(Line(strokes, _WIRE, note=note))
        picture.items.append(Line(tuple(_tip(_moved(end, x, y)) for end in net.tips), _WIRE, fill=True))
    for k, (tail, head) in enumerate(block.graph.feedback):
        _feedback(picture, block, (tail, head), k, x, y)
    for node, corner, size, inner in zip(block.graph.nodes, block.plan.corners, block.sizes, block.inner, strict=True):
        _draw_box(picture, node, _moved(corner, x, y), size, inner)


def _draw_box(picture: Picture, node: Node, corner: Point, size: Size, inner: Sequence[_Block]) -> None:
    (x, y), look = corner, LOOKS[node.kind]
    thick = 1.6 if node.kind == OUTPUT else 1.0
    if node.joined and not node.inner:  # a pile of boxes
        picture.items.append(Box(x + 3.0, y + 3.0, *size, look.fill, look.stroke, thick))
    picture.items.append(Box(x, y, *size, look.fill, look.stroke, thick, dashed=node.kind == CHECK, note=node.note))
    add = picture.items.append
    add(Text(x + _PAD, y + 14.5, node.title, _TITLE, _INK, bold=True))
    if node.detail:
        add(Text(x + _PAD + width_of(node.title + " ", _TITLE), y + 14.5, node.detail, _ROW, _INK))
    if node.label:
        add(Text(x + size.width - _PAD, y + 14.5, node.label, _SMALL, _SOFT, right=True))
    at = y + 14.5
    for row in _rows(node):
        at += _LINE
        add(Text(x + _PAD, at, row, _ROW, _RED if row.startswith("∂ ") else _INK))
    if node.source:
        at += _LINE - 1.0
        add(Text(x + _PAD, at, node.source, _SMALL, _SOFT))
    if inner:
        width = sum(b.size.width for b in inner) + 24.0 * (len(inner) - 1)
        left, top = x + (size.width - width) / 2, at + 14.0
        for block in inner:
            _draw(picture, block, left, top)
            left += block.size.width + 24.0


def _feedback(picture: Picture, block: _Block, ends: tuple[int, int], number: int, x: float, y: float) -> None:
    """A dashed line from a result of a step around on the right to where the next step reads it."""
    (left0, top0), (left1, top1) = (block.plan.corners[k] for k in ends)
    width0, height0 = block.sizes[ends[0]]
    out = _LANE * (number + 1)
    x1, right = x + left1 + block.sizes[ends[1]].width / 2, x + block.plan.size.width + out
    above, below = y - out, y + block.plan.size.height + out
    if any(net.tail == ends[0] for net in block.plan.nets):  # read within the step as well: leave it sideways
        start, first = (x + left0 + width0, y + top0 + height0 - 8.0), (right, y + top0 + height0 - 8.0)
    else:
        start, first = (x + left0 + width0 / 2, y + top0 + height0), (x + left0 + width0 / 2, below)
    corners = [first, (right, below), (right, above), (x1, above)]
    corners = corners if first[0] != right else [first, *corners[2:]]
    end = (x1, y + top1)
    picture.items.append(Line(((start, _rounded([start, *corners, (x1, end[1] - _TIP)])),), _BACK, 1.3, dashed=True))
    picture.items.append(Line((_tip(end),), _BACK, fill=True))


def _rounded(points: Sequence[Point], radius: float = 5.0) -> tuple[Step, ...]:
    """Straight lines along the points with round corners."""
    steps: list[Step] = []
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(at, before, radius), _towards(at, after, radius)
        steps += [(enter,), (_towards(at, before, radius / 2), _towards(at, after, radius / 2), leave)]
    return (*steps, (points[-1],))


def _towards(start: Point, end: Point, distance: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = min(distance / (abs(dx) + abs(dy) or 1.0), 0.5)
    return start[0] + share * dx, start[1] + share * dy


def _tip(end: Point) -> tuple[Point, tuple[Step, ...]]:
    x, y = end
    return end, (((x - _TIP, y - 2 * _TIP),), ((x + _TIP, y - 2 * _TIP),))


def _moved(point: Point, x: float, y: float) -> Point:
    return point[0] + x, point[1] + y


def _steps(steps: Sequence[Step], x: float, y: float) -> tuple[Step, ...]:
    return tuple(tuple(_moved(p, x, y) for p in step) for step in steps)
