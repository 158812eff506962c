"""Boxes in layers, arrows downwards: where everything lies. Knows sizes and edges, not what they mean.

The way of Sugiyama, Tagawa & Toda (IEEE Trans. SMC 11, 1981): layers by longest path, long edges cut by one point a
layer, orders by barycentres, then places. A value that is read in several layers has one line down, with branches.
Places minimise the squared slant of all edges under the order found: per layer an isotonic regression.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

from wengert.draw.order import Link, Side, ordered
from wengert.draw.picture import Point, Step

GAP = 26.0
"""Between boxes of a layer; lines keep half of it."""
PORT = 36.0
"""Between the lines that end at a box, at most."""
RISE = 27.0
"""Between layers, at least."""


class Size(NamedTuple):
    """How much room a box needs."""

    width: float
    height: float


class Edge(NamedTuple):
    """From a result of one box to an operand of another: which of how many, counted from the left."""

    tail: int
    head: int
    result: int = 0
    results: int = 1
    operand: int = 0
    operands: int = 1
    swaps: bool = False
    """Whether the operands may change places."""


class Net(NamedTuple):
    """The line of one result: its strokes, and the points where arrows end."""

    tail: int
    result: int
    strokes: tuple[tuple[Point, tuple[Step, ...]], ...]
    tips: tuple[Point, ...]


@dataclass
class Layout:
    """Upper left corners of the boxes, lines, and the size of it all."""

    corners: list[Point]
    nets: list[Net]
    size: Size


def layout(sizes: Sequence[Size], edges: Sequence[Edge], outer: Collection[int] = ()) -> Layout:
    """Place boxes; the edges must not form a cycle.

    Of the boxes in `outer`, those that read nothing are in the first layer, those that nothing reads in the last.
    """
    return _Drawing(sizes, edges, outer).layout()


def layers_of(n: int, edges: Sequence[Edge], outer: Collection[int] = ()) -> list[int]:
    """A layer per box: every edge goes down, and lines are short."""
    above: list[set[int]] = [set() for _ in range(n)]
    below: list[set[int]] = [set() for _ in range(n)]
    for e in edges:
        above[e.head].add(e.tail)
        below[e.tail].add(e.head)
    waiting, layer, order = [len(a) for a in above], [0] * n, [k for k in range(n) if not above[k]]
    for k in order:
        for other in sorted(below[k]):
            layer[other] = max(layer[other], layer[k] + 1)
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    for _ in range(3):  # what has fewer lines in than out moves down, towards where it is used, and the other way
        for k in reversed(order):
            if below[k] and len(above[k]) < 2:
                layer[k] = min(layer[j] for j in below[k]) - 1
        for k in order:
            if len(above[k]) > 1:
                layer[k] = max(layer[j] for j in above[k]) + 1
    first, last = min(layer, default=0), max(layer, default=0)
    for k in outer:
        if not above[k] or not below[k]:
            layer[k] = last if above[k] else first
    return [at - first for at in layer]


class _Drawing:
    """Boxes and the points of long lines, together: `n` boxes first, points behind them."""

    def __init__(self, sizes: Sequence[Size], edges: Sequence[Edge], outer: Collection[int]) -> None:
        self.n, self.edges = len(sizes), list(edges)
        self.widths = [s.width for s in sizes]
        self.heights = [s.height for s in sizes]
        self.layer = layers_of(self.n, edges, outer)
        self.links: list[Link] = []
        self.chains: dict[tuple[int, int], dict[int, int]] = {}
        """By (box, result): in which layer the line has which point."""
        self._cut()
        rows = ordered(self.layer, self.links)
        if self._swap(rows):
            rows = ordered(self.layer, self.links)
        self.rows = rows
        self.x = self._places()

    # --- long lines ----------------------------------------------------------------------------------

    def _cut(self) -> None:
        """One point a layer for every line that is longer than one layer."""
        for e in self.edges:
            chain = self.chains.setdefault((e.tail, e.result), {})
            at, start = e.tail, self._port(e.tail, e.result, e.results)
            for layer in range(self.layer[e.tail] + 1, self.layer[e.head]):
                if layer not in chain:
                    chain[layer] = len(self.widths)
                    self.widths.append(2.0)
                    self.heights.append(0.0)
                    self.layer.append(layer)
                    self.links.append(Link(at, chain[layer], start, 0.0))
                at, start = chain[layer], 0.0
            self.links.append(Link(at, e.head, start, self._port(e.head, e.operand, e.operands)))

    def _port(self, k: int, number: int, of: int) -> float:
        """Where on a box a line starts or ends: near its middle, -1/2 would be its left edge."""
        return (number - (of - 1) / 2) * min(1 / (of + 1), PORT / self.widths[k])

    def _swap(self, rows: list[list[int]]) -> bool:
        """Give operands that may change places the order in which their lines arrive."""
        place = {k: at for row in rows for at, k in enumerate(row)}
        groups: dict[int, list[int]] = {}
        lasts = [k for k, link in enumerate(self.links) if link.head < self.n]
        for e, k in zip(self.edges, lasts, strict=True):  # links end at boxes in the order of the edges
            if e.swaps:
                groups.setdefault(e.head, []).append(k)
        for found in groups.values():
            ends = sorted(self.links[k].end for k in found)
            arriving = sorted(found, key=lambda k: (place[self.links[k].tail], self.links[k].start))
            for k, end in zip(arriving, ends, strict=True):
                self.links[k] = self.links[k]._replace(end=end)
        return bool(groups)

    # --- places --------------------------------------------------------------------------------------

    def _places(self) -> list[float]:
        """The middle of everything along x."""
        x = [0.0] * len(self.widths)
        apart = [self._apart(row) for row in self.rows]
        for row, gaps in zip(self.rows, apart, strict=True):
            for at, k in enumerate(row):
                x[k] = gaps[at] - gaps[-1] / 2
        up: list[list[tuple[int, float, float]]] = [[] for _ in x]
        down: list[list[tuple[int, float, float]]] = [[] for _ in x]
        heads, lines = {link.head for link in self.links}, Counter(link.tail for link in self.links)
        for tail, head, start, end in self.links:
            weight = (1.0, 2.0, 8.0)[(tail >= self.n) + (head >= self.n)]
            if tail not in heads and lines[tail] == 1:
                weight = 0.1  # an input that is read once stands aside
            shift = start * self.widths[tail] - end * self.widths[head]
            up[head].append((tail, shift, weight))
            down[tail].append((head, -shift, weight))
        both = [u + d for u, d in zip(up, down, strict=True)]
        rows = list(zip(self.rows, apart, strict=True))
        for turn in range(24):
            sides = both if turn >= 16 else down if turn % 2 else up
            for row, gaps in rows if sides is not down else reversed(rows):
                wanted, weights = [], []
                for k in row:
                    near = sides[k]
                    total = sum(w for _, _, w in near)
                    wanted.append(sum(w * (x[j] + shift) for j, shift, w in near) / total if near else x[k])
                    weights.append(total if near else 0.05)
                for k, place in zip(row, spread(wanted, weights, gaps), strict=True):
                    x[k] = place
        self._straighten(x, up, down)
        left = min((x[k] - self.widths[k] / 2 for k in range(len(x))), default=0.0)
        return [at - left for at in x]

    def _straighten(self, x: list[float], up: Side, down: Side) -> None:
        """Pull every long line straight as far as its neighbours in the layers let it."""
        place = {k: (row, at) for row in self.rows for at, k in enumerate(row)}

        def free(k: int) -> tuple[float, float]:
            row, at = place[k]
            low = x[row[at - 1]] + self._gap(row[at - 1], k) if at else -inf
            return low, x[row[at + 1]] - self._gap(k, row[at + 1]) if at + 1 < len(row) else inf

        for chain in self.chains.values():
            points = [chain[layer] for layer in sorted(chain)]
            while points:
                low, high, count = -inf, inf, 0
                for k in points:
                    a, b = free(k)
                    if max(low, a) > min(high, b):
                        break
                    low, high, count = max(low, a), min(high, b), count + 1
                run, points = points[: max(count, 1)], points[max(count, 1) :]
                ends = [x[j] + shift for k, side in ((run[0], up), (run[-1], down)) for j, shift, _ in side[k]]
                wanted = next((end for end in ends if low <= end <= high), sum(x[k] for k in run) / len(run))
                for k in run if count else []:
                    x[k] = min(max(wanted, low), high)

    def _apart(self, row: list[int]) -> list[float]:
        """Least distance of every middle of a layer from the first one."""
        found = [0.0]
        for a, b in pairwise(row):
            found.append(found[-1] + self._gap(a, b))
        return found

    def _gap(self, a: int, b: int) -> float:
        """Least distance between the middles of two neighbours."""
        return (self.widths[a] + self.widths[b]) / 2 + (GAP if a < self.n and b < self.n else GAP / 2)

    # --- the result ------------------------------------------------------------------------------------

    def layout(self) -> Layout:
        bands = self._bands()
        corners = []
        for k in range(self.n):
            top, bottom = bands[self.layer[k]]
            corners.append((self.x[k] - self.widths[k] / 2, (top + bottom - self.heights[k]) / 2))
        width = max((x + w / 2 for x, w in zip(self.x, self.widths, strict=True)), default=0.0)
        return Layout(corners, self._nets(bands), Size(width, bands[-1][1] if bands else 0.0))

    def _bands(self) -> list[tuple[float, float]]:
        """Upper and lower edge of every layer; the more lines slant, the more room they have."""
        slant = [0.0] * (len(self.rows) + 1)
        for tail, head, start, end in self.links:
            dx = self.x[tail] + start * self.widths[tail] - self.x[head] - end * self.widths[head]
            slant[self.layer[head]] = max(slant[self.layer[head]], abs(dx))
        bands: list[tuple[float, float]] = []
        for at, row in enumerate(self.rows):
            top = bands[-1][1] + RISE + min(0.07 * slant[at], 50.0) if bands else 0.0
            bands.append((top, top + max(self.heights[k] for k in row)))
        return bands

    def _nets(self, bands: list[tuple[float, float]]) -> list[Net]:
        strokes: dict[tuple[int, int], list[tuple[Point, tuple[Step, ...]]]] = {key: [] for key in self.chains}
        tips: dict[tuple[int, int], list[Point]] = {key: [] for key in self.chains}
        owner = {point: key for key, chain in self.chains.items() for point in chain.values()}
        ends = iter(self.edges)
        for link in self.links:
            if link.head < self.n:
                e = next(ends)
                key = (e.tail, e.result)
            else:
                key = owner[link.head]
            stroke, tip = self._stroke(link, bands)
            strokes[key].append(stroke)
            if link.head < self.n:
                tips[key].append(tip)
        return [Net(*key, tuple(strokes[key]), tuple(tips[key])) for key in self.chains]

    def _stroke(self, link: Link, bands: list[tuple[float, float]]) -> tuple[tuple[Point, tuple[Step, ...]], Point]:
        """One layer of a line: down to the edge of the layer, over the gap in a curve, down to the end."""
        tail, head, start, end = link
        x0, x1 = self.x[tail] + start * self.widths[tail], self.x[head] + end * self.widths[head]
        (top, bottom), (next_top, next_bottom) = bands[self.layer[tail]], bands[self.layer[head]]
        y0 = (top + bottom + self.heights[tail]) / 2 if tail < self.n else bottom
        y1 = (next_top + next_bottom - self.heights[head]) / 2 if head < self.n else next_bottom
        steps: list[Step] = [((x0, bottom),)] if y0 < bottom else []
        if abs(x0 - x1) < 0.5:
            steps.append(((x1, next_top),))
        else:
            bend = 0.55 * (next_top - bottom)
            steps.append(((x0, bottom + bend), (x1, next_top - bend), (x1, next_top)))
        if y1 > next_top:
            steps.append(((x1, y1),))
        return ((x0, y0), tuple(steps)), (x1, y1)


def spread(wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Places nearest to the wanted ones (weighted squares) that keep their order and distances.

    Pool adjacent violators: Barlow, Bartholomew, Bremner & Brunk, *Statistical inference under order restrictions*
    (1972). `apart` holds the least distances from the first place.

    Examples
    --------
    >>> spread([0.0, 0.0, 9.0], [1.0, 1.0, 1.0], [0.0, 2.0, 4.0])
    [-1.0, 1.0, 9.0]
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for want, weight, gap in zip(wanted, weights, apart, strict=True):
        mean, total, count = want - gap, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, more, n = blocks.pop()
            mean = (mean * total + other * more) / (total + more)
            total, count = total + more, count + n
        blocks.append((mean, total, count))
    flat = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + gap for mean, gap in zip(flat, apart, strict=True)]
