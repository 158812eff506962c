"""Pictures of tapes: right about values and adjoints, readable, and drawn so that nothing lies over anything."""

import re
import sys
from functools import partial
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from wengert import Binomial, grad, record, scan, value_and_grad
from wengert.draw.build import MOST, graph_of
from wengert.draw.facts import Facts, shown
from wengert.draw.fold import fold
from wengert.draw.layout import Edge, Size, layout, spread
from wengert.draw.order import Link, ordered
from wengert.errors import MissingLibraryError, OptionError, TapeError
from wengert.plan.live import live

SVG = "{http://www.w3.org/2000/svg}"
W = np.linspace(-1.0, 1.0, 32).reshape(8, 4)
X = np.linspace(0.0, 1.0, 8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def net(w1, w2, b, v, c):
    h = sigmoid(w1 * 0.5 + w2 * -1.0 + b)
    return -np.log(sigmoid(v * h + c))


WEIGHTS = (0.8, -0.4, 0.1, 1.2, -0.3)


def model(x, b):
    return np.sum(np.tanh(x @ W + b) ** 2)


def rnn(u, xs):
    h, _ = scan(lambda h, x: (np.tanh(h @ u + x), None), np.zeros((2, 3)), xs)
    return np.sum(h * h)


def few_carries(u, xs):
    _, ys = scan(lambda h, x: (np.tanh(h @ u + x), h), np.zeros((2, 3)), xs, checkpoint=Binomial(3))
    return np.sum(ys * ys)


def long_loop(w, x):
    h = 0.0
    for k in range(75):
        h = np.tanh(w * h + x[k])
    return h**2


def tangle(n, seed=3, reach=12):
    """A function of two numbers with n random instructions."""

    def f(x, y):
        rng, values = np.random.default_rng(seed), [x, y]
        for _ in range(n):
            a, b = (values[k] for k in rng.integers(max(0, len(values) - reach), len(values), 2))
            kind = rng.integers(0, 4)
            values.append(np.sin(a) if kind == 0 else a * b if kind == 1 else a + b if kind == 2 else np.tanh(a - b))
        return values[-1] + values[-2]

    return f


def deep(x):
    for k in range(60):
        x = np.tanh(x * (1.0 + k) + W[0, 0])
    return np.sum(x)


CASES = {
    "net": lambda: record(net, *WEIGHTS),
    "gradient of net": lambda: record(grad(net, argnums=range(5)), *WEIGHTS),
    "model": lambda: record(model, X, 0.5),
    "gradient of model": lambda: record(value_and_grad(model, argnums=(0, 1)), X, 0.5),
    "rnn": lambda: record(rnn, np.eye(3), np.ones((5, 2, 3))),
    "gradient of rnn": lambda: record(grad(rnn), np.eye(3), np.ones((5, 2, 3))),
    "checkpointed rnn": lambda: record(grad(few_carries), np.eye(3), np.ones((20, 2, 3))),
    "loop": lambda: record(long_loop, 0.5, np.linspace(-1, 1, 75)),
    "gradient of loop": lambda: record(grad(long_loop), 0.5, np.linspace(-1, 1, 75)),
    "tangle of 60": lambda: record(tangle(60), 0.3, 0.4),
    "tangle of 400": lambda: record(tangle(400), 0.3, 0.4),
    "wide tangle": lambda: record(tangle(300, reach=300), 0.3, 0.4),
    "branch": lambda: record(lambda x: x * 2 if x > 0 else x, 1.0),
    "trees": lambda: record(
        lambda p: {"y": [p["a"] + 1, p["b"]], "c": 3.0, "<&>": p["a"]}, {"a": X, "b": np.arange(3)}
    ),
    "the input itself": lambda: record(lambda x: (x, x), X),
    "a constant": lambda: record(lambda x: 2.0, X),
    "nothing": lambda: record(lambda x: None, X),
    "many inputs": lambda: record(lambda *xs: sum(x * x for x in xs), *map(float, range(120))),
}


class Seen:
    """A drawn tape, read back from its file."""

    def __init__(self, tape, folder, *args, **options):
        self.path = tape.draw(folder / "tape.svg", *args, **options)
        self.root = ElementTree.fromstring(self.path.read_text())
        self.texts = [t.text for t in self.root.iter(f"{SVG}text")]
        self.size = float(self.root.get("width")), float(self.root.get("height"))
        _, *rects = self.root.iter(f"{SVG}rect")
        found = [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in rects]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in found if (w, h) != (11, 10)]  # without the legend
        piles = {k for k, (a, b) in enumerate(pairwise(boxes)) if np.allclose(np.subtract(a, b), 3, atol=1e-6)}
        self.boxes = [box for k, box in enumerate(boxes) if k not in piles]
        paths = list(self.root.iter(f"{SVG}path"))
        self.tips = [
            tuple(map(float, start.split(",")))
            for p in paths
            if p.get("fill") != "none"
            for start in re.findall(r"M([-\d.,]+)", p.get("d"))
        ]
        self.dashed = [p for p in paths if p.get("stroke-dasharray")]

    def has(self, words):
        return any(words in text for text in self.texts)


@pytest.fixture
def see(tmp_path):
    return lambda tape, *args, **options: Seen(tape, tmp_path, *args, **options)


def inside(a, b):
    """Whether box a lies in box b."""
    return b[0] <= a[0] and b[1] <= a[1] and a[2] <= b[2] and a[3] <= b[3]


def apart(a, b):
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


# --- every picture -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_boxes_lie_beside_or_inside_one_another_and_arrows_end_at_boxes(name, see):
    seen = see(CASES[name]())
    width, height = seen.size
    assert seen.boxes
    for x0, y0, x1, y1 in seen.boxes:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    for k, a in enumerate(seen.boxes):
        for b in seen.boxes[:k]:
            assert apart(a, b) or inside(a, b) or inside(b, a), (a, b)
    for x, y in seen.tips:
        assert any(x0 < x < x1 and abs(y - y0) < 0.15 for x0, y0, x1, _ in seen.boxes), (x, y)


@pytest.mark.parametrize("name", CASES)
def test_texts_lie_in_their_boxes(name, see):
    """A character of a monospaced font is at most 0.61 of its size wide."""
    seen = see(CASES[name]())
    first = min(box[1] for box in seen.boxes)
    for text in seen.root.iter(f"{SVG}text"):
        x, y, size = (float(text.get(k)) for k in ("x", "y", "font-size"))
        wide = 0.61 * size * len(text.text)
        left, right = (x - wide, x) if text.get("text-anchor") == "end" else (x, x + wide)
        assert right <= seen.size[0] + 0.5
        if first < y < max(box[3] for box in seen.boxes):
            assert any(x0 < left and right < x1 + 0.1 and y0 < y < y1 for x0, y0, x1, y1 in seen.boxes), text.text


@pytest.mark.parametrize("name", CASES)
def test_no_picture_has_many_more_boxes_than_can_be_read(name, see):
    assert len(see(CASES[name]()).boxes) <= 1.2 * MOST


def test_drawing_is_the_same_every_time(tmp_path):
    texts = {record(rnn, np.eye(3), np.ones((5, 2, 3))).draw(tmp_path / f"{k}.svg").read_text() for k in range(3)}
    assert len(texts) == 1


def test_the_file_stands_alone(see):
    """Nothing is loaded from elsewhere, and no path of the machine is in it."""
    text = see(CASES["gradient of rnn"]()).path.read_text()
    assert "href" not in text
    assert __file__ not in text
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1


# --- what it says ------------------------------------------------------------------------------------------


def test_values_and_adjoints_are_those_of_the_function(see):
    seen = see(record(net, *WEIGHTS))
    slopes = grad(net, argnums=range(5))(*WEIGHTS)
    for name, value, slope in zip(("w1", "w2", "b", "v", "c"), WEIGHTS, slopes, strict=True):
        at = seen.texts.index(name)
        assert seen.texts[at + 1] == "input"
        assert f"f64[] = {value:.5g}" in seen.texts[at : at + 5]
        assert f"∂ {float(slope):.5g}" in seen.texts[at : at + 5]
    h = 1 / (1 + np.exp(-0.9))
    y = 1 / (1 + np.exp(-(1.2 * h - 0.3)))
    for value in (h, y, np.log(y), -np.log(y)):
        assert f"f64[] = {value:.5g}" in seen.texts
    # dL/dy = -1 / y, dL/ds = y - 1, dL/dh = (y - 1) v
    for bar in (-1 / y, y - 1, (y - 1) * 1.2, 1.0):
        assert f"∂ {bar:.5g}" in seen.texts


def test_values_at_other_arguments(see):
    tape = record(lambda x: np.sin(x) * x, 1.3)
    assert see(tape).has(f"f64[] = {np.sin(1.3) * 1.3:.5g}")
    seen = see(tape, 2.0)
    assert seen.has(f"f64[] = {np.sin(2.0) * 2.0:.5g}")
    assert seen.has(f"∂ {np.cos(2.0) * 2.0 + np.sin(2.0):.5g}")
    assert not seen.has("1.3")
    assert see(tape, 2).has(f"f64[] = {np.sin(2.0):.5g}"), "an int where the tape has a float"


def test_adjoints_of_arrays_and_of_a_scan(see):
    u, xs = np.eye(3) * 0.5, np.linspace(-1, 1, 30).reshape(5, 2, 3)
    seen = see(record(rnn, u, xs))
    for name, bar in zip(("u", "xs"), grad(rnn, argnums=(0, 1))(u, xs), strict=True):
        at = seen.texts.index(name)
        want = f"∂ mean {np.mean(bar):.3g} in [{np.min(bar):.3g}, {np.max(bar):.3g}]"
        assert want in seen.texts[at : at + 6]


def test_values_and_adjoints_can_be_left_out(see):
    tape = record(net, *WEIGHTS)
    for values, adjoints in ((True, False), (False, True), (False, False)):
        seen = see(tape, values=values, adjoints=adjoints)
        assert any(t.startswith("f64[] = ") for t in seen.texts) is values
        assert any(t.startswith("∂ -") for t in seen.texts) is adjoints
    assert see(tape, values=False, adjoints=False).has("f64[]")


def test_adjoints_of_the_output_that_is_asked_for(see):
    tape = record(lambda x: {"a": x**2, "b": np.sin(x), "c": np.array([x, x])}, 0.5)
    assert not any(t.startswith("∂ ") and t != "∂ 1" for t in see(tape).texts)
    assert see(tape).has("no adjoints: not one result alone")
    assert "∂ 1" in see(tape, of=0).texts
    assert f"∂ {np.cos(0.5):.5g}" in see(tape, of=1).texts
    for of, words in ((2, r"f64\[2\]"), (3, "3 outputs"), (-4, "3 outputs")):
        with pytest.raises(OptionError, match=words):
            see(tape, of=of)


def test_fused_derivatives_are_not_given_wrong_adjoints(see):
    """A first derivative's tape holds ops without a derivative; one that will be differentiated again does not."""
    assert see(record(grad(np.sin), 0.7)).has("fused")
    plain = record(grad(lambda x: x * 3.0), 0.7)
    assert see(plain).has("0.7")


def test_names_shapes_lines_and_results(see):
    def f(p, x):
        h = x @ p["w"]
        return {"sum": np.sum(h), "x": x}

    seen = see(record(f, {"w": W}, X))
    for words in ("p['w']", "f64[8,4]", "matmul", "sum", "→ ['sum']", "→ ['x']", 'h = x @ p["w"]'):
        assert seen.has(words), words
    assert see(record(model, X, 0.5)).has("W"), "a captured array by its name"
    assert see(record(model, X, 0.5)).has(f":{model.__code__.co_firstlineno + 1} return np.sum(np.tanh")


def test_names_that_cannot_be_found_are_no_obstacle(see):
    """A variable around the function without a value yet, arguments by *, builtins, callable objects."""

    def f(x):
        return x if np.ndim(x) == 0 else later

    assert see(record(f, 1.0)).has("x")
    later = 1
    assert see(record(lambda *xs: xs[0] * xs[1] + later, 1.0, 2.0)).has("xs[1]")
    assert see(record(partial(np.multiply, 2.0), 3.0)).has("input")
    assert see(record(type("F", (), {"__call__": lambda self, y: y * W})(), 1.0)).has("y")


def test_numbers_stand_in_the_boxes_that_read_them(see):
    seen = see(record(lambda x: 1 / (x - 2.5) + np.where(x > 0, x, 0.0) + np.clip(x, -1.0, 7.0), 0.5))
    for words in ("· - 2.5", "1 / ·", "· > 0", "where(·, ·, 0)", "clip(·, -1, 7)"):
        assert words in seen.texts, words
    assert "constant" not in seen.texts
    assert "constant" in see(record(lambda x: x + np.array([1.0, 2.0]).tolist(), np.ones(2))).texts


def test_operands_of_ops_that_are_not_symmetric_arrive_in_order():
    """The arrow of x - y that comes from x ends left of the one from y, wherever x and y lie."""
    for f in (lambda x, y: np.exp(y) / np.sin(x), lambda x, y: (x * y) - y):
        graph = graph_of(record(f, 0.5, 0.7), Facts(record(f, 0.5, 0.7)))
        last = graph.nodes[-1]
        edges = [
            Edge(k, 9, 0, 1, at, 2)
            for at, s in enumerate(last.reads)
            for k, n in enumerate(graph.nodes)
            if s in n.slots
        ]
        plan = layout([Size(80, 40)] * 10, edges)
        first, second = (next(net.tips[0] for net in plan.nets if net.tail == e.tail) for e in edges)
        assert first < second


def test_what_has_no_effect_is_not_drawn(see):
    def f(x):
        np.cos(x)
        return np.sin(x)

    seen = see(record(f, 1.0))
    assert "sin" in seen.texts
    assert "cos" not in seen.texts


# --- loops and folding ---------------------------------------------------------------------------------------


def test_a_scan_is_a_box_with_its_step_inside_once(see):
    seen = see(record(rnn, np.eye(3), np.ones((500, 2, 3))))
    assert seen.has("length=500")
    assert seen.texts.count("tanh") == 1
    assert seen.has("→ carry")
    assert seen.has("from %")
    assert len(seen.dashed) == 1
    biggest = max(seen.boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    assert sum(inside(box, biggest) for box in seen.boxes) == 7, "itself, carry, u, x, matmul, add, tanh"


def test_a_checkpointed_loop_shows_both_its_bodies_and_no_value_that_it_has_not(see):
    """The naive replay does not know which carries are stored."""
    tape = CASES["checkpointed rnn"]()
    seen = see(tape)
    assert seen.has("length=")
    for op, outs, _, _ in tape.instructions:
        if op.name in ("scan_saving", "revolve"):
            (row,) = (t for t in seen.texts if t.startswith(f"%{outs[-1]} "))
            assert row == f"%{outs[-1]} {tape.avals[outs[-1]]}"
    assert {"scan_saving", "revolve"} <= set(seen.texts)


def test_carries_go_around(see):
    """Three carries: two change places, the third is handed on as it is."""
    tape = record(lambda a, b, c: scan(lambda h, _: ((h[1] * 2, h[0], h[2]), h[0]), (a, b, c), length=4), 1.0, 2.0, 3.0)
    assert len(see(tape).dashed) == 2


def test_a_python_loop_becomes_one_box(see):
    seen = see(CASES["loop"]())
    assert seen.texts[:2] == ["long_loop", "301 instructions · test_draw.py"]
    assert "75 times" in seen.texts
    assert seen.texts.count("tanh") == 1
    assert seen.has("h = np.tanh(w * h + x[k])")
    assert len(seen.boxes) < 12
    assert len(seen.dashed) == 1


def test_a_loop_over_layers_with_weights_of_their_own(see):
    layers = [(np.eye(4) * k, np.ones(4) * k) for k in range(40)]

    def f(x):
        for w, b in layers:
            x = np.tanh(x @ w + b)
        return np.sum(x)

    seen = see(record(f, np.ones((2, 4))))
    assert "40 times" in seen.texts
    assert seen.texts.count("40 captured") == 2
    assert seen.has("another one every pass")


def test_a_chain_becomes_one_box(see):
    def f(x):
        for _ in range(3):  # too few passes to matter against three long, different chains
            x = np.sum(np.outer(x, x), axis=0)
        for name in ["sin", "cos", "tanh", "exp", "arctan", "sinh", "log1p", "expm1", "sqrt", "square", "cosh", "tan"]:
            x = getattr(np, name)(x * 0.5)
        return np.sum(x)

    graph = graph_of(record(f, X), Facts(record(f, X)), most=12)
    assert "24 elementwise" in [n.title for n in graph.nodes]


@pytest.mark.parametrize("n", [60, 150, 400])
@pytest.mark.parametrize("reach", [2, 6, 400])
@pytest.mark.parametrize("most", [5, 20, 100])
def test_groups_are_a_partition_and_never_wait_for_one_another(n, reach, most):
    tape = record(tangle(n, reach=reach), 0.3, 0.4)
    positions = live(tape)
    groups = fold(tape, positions, most)
    assert sorted(k for g in groups for k in g.positions) == positions
    assert len(groups) <= most + sum(g.times > 1 for g in groups)
    home = {s: number for number, g in enumerate(groups) for k in g.positions for s in tape.instructions[k][1]}
    edges = {
        (home[s], home[tape.instructions[k][1][0]]) for k in positions for s in tape.instructions[k][2] if s in home
    }
    left = set(range(len(groups)))
    while left:
        free = {g for g in left if not any(a in left and a != g for a, b in edges if b == g)}
        assert free, "a cycle"
        left -= free


def test_passes_of_a_loop_are_alike():
    tape = CASES["gradient of loop"]()
    loops = [g for g in fold(tape, live(tape), 100) if g.times > 1]
    assert sorted(g.times for g in loops) == [73, 75]
    for group in loops:
        assert len({tuple(tape.instructions[k][0].name for k in p) for p in group.passes}) == 1


# --- layout --------------------------------------------------------------------------------------------------


def random_graph(rng, n):
    sizes = [Size(float(w), float(h)) for w, h in rng.uniform(30, 200, (n, 2))]
    pairs = sorted({tuple(sorted(p)) for p in rng.integers(0, n, (2 * n, 2)).tolist() if p[0] != p[1]})
    count = {head: sum(h == head for _, h in pairs) for _, head in pairs}
    seen: dict[int, int] = {}
    edges = []
    for tail, head in pairs:
        seen[head] = seen.get(head, -1) + 1
        edges.append(Edge(tail, head, 0, 1, seen[head], count[head], bool(head % 2)))
    return sizes, edges


def on_curve(start, steps):
    """Points on a line, a few hundred a step."""
    for step in steps:
        p = [np.array(q) for q in (start, *step)]
        for t in np.linspace(0, 1, 60):
            while len(q := p) > 1:
                q = [(1 - t) * a + t * b for a, b in pairwise(q)]
                if len(q) == 1:
                    yield q[0]
                    break
                p = q
            p = [np.array(q) for q in (start, *step)]
        start = step[-1]


@pytest.mark.parametrize("seed", range(6))
def test_lines_go_down_around_boxes_and_all_edges_are_there(seed):
    rng = np.random.default_rng(seed)
    sizes, edges = random_graph(rng, 14)
    plan = layout(sizes, edges)
    boxes = [(x, y, x + s.width, y + s.height) for (x, y), s in zip(plan.corners, sizes, strict=True)]
    assert all(apart(a, b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert max(b[2] for b in boxes) <= plan.size.width + 1e-9
    found = set()
    for net in plan.nets:
        for x, y in net.tips:
            head = next(k for k, (x0, y0, x1, _) in enumerate(boxes) if x0 < x < x1 and y == y0)
            assert boxes[net.tail][3] < y
            found.add((net.tail, head))
        for start, steps in net.strokes:
            heights = []
            for x, y in on_curve(start, steps):
                heights.append(y)
                for k, (x0, y0, x1, y1) in enumerate(boxes):
                    assert not (x0 + 1e-6 < x < x1 - 1e-6 and y0 + 1e-6 < y < y1 - 1e-6), (net.tail, k)
            assert all(b >= a - 1e-9 for a, b in pairwise(heights))
    assert found == {(e.tail, e.head) for e in edges}


def test_a_chain_is_drawn_straight():
    plan = layout([Size(50, 20), Size(120, 30), Size(80, 20)], [Edge(0, 1), Edge(1, 2)])
    assert len({round(x + w / 2, 6) for (x, _), w in zip(plan.corners, (50, 120, 80), strict=True)}) == 1


def test_trees_are_drawn_without_crossings():
    """A binary tree of 31, its things numbered at random, has an order without crossings; it is found."""
    for seed in range(5):
        name = np.random.default_rng(seed).permutation(31).tolist()
        layer = [0] * 31
        for k in range(31):
            layer[name[k]] = 4 - (k + 1).bit_length() + 1
        links = [Link(name[k], name[(k - 1) // 2], 0.0, 0.2 if k % 2 else -0.2) for k in range(1, 31)]
        place = {k: at for row in ordered(layer, links) for at, k in enumerate(row)}
        for a in links:
            for b in links:
                if layer[a.tail] == layer[b.tail] and place[a.tail] < place[b.tail]:
                    assert place[a.head] + a.end <= place[b.head] + b.end


def test_spread_is_the_best_of_all_places():
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        wanted, weights = rng.normal(size=n) * 3, rng.uniform(0.1, 3, n)
        gaps = np.concatenate([[0], np.cumsum(rng.uniform(0.1, 2, n - 1))])
        x = np.array(spread(wanted.tolist(), weights.tolist(), gaps.tolist()))
        assert (np.diff(x) >= np.diff(gaps) - 1e-12).all()
        best = np.sum(weights * (x - wanted) ** 2)
        for _ in range(300):
            other = x + rng.normal(size=n) * 10.0 ** rng.integers(-4, 1)
            if (np.diff(other) >= np.diff(gaps)).all():
                assert np.sum(weights * (other - wanted) ** 2) >= best - 1e-9


def test_nothing_to_lay_out():
    assert layout([], []).size == Size(0.0, 0.0)


# --- values in words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.1, "0.1"),
        (-0.0, "0"),
        (np.float32(1 / 3), "0.33333"),
        (True, "True"),
        (7, "7"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1e300, "1e+300"),
        (np.array([1.0, -2.5]), "[1, -2.5]"),
        (np.array([1, 2, 3]), "[1, 2, 3]"),
        (np.zeros((3, 3)), "all 0"),
        (np.zeros((0, 3)), "empty"),
        (np.arange(10), "in [0, 9]"),
        (np.arange(10.0), "mean 4.5 in [0, 9]"),
        (np.arange(10) > 6, "3 of 10 true"),
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), "2 of 4 not finite"),
    ],
)
def test_values_in_words(value, words):
    assert shown(value) == words


# --- files and errors ------------------------------------------------------------------------------------------


def test_png_and_pdf(tmp_path):
    pytest.importorskip("matplotlib")
    tape = CASES["rnn"]()
    assert tape.draw(tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert tape.draw(str(tmp_path / "a.PDF")).read_bytes()[:5] == b"%PDF-"


def test_without_matplotlib_svg_still_works(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tape = record(np.sin, 1.0)
    assert tape.draw(tmp_path / "a.svg").exists()
    with pytest.raises(MissingLibraryError, match=r"wengert\[plot\]"):
        tape.draw(tmp_path / "a.png")


def test_other_endings_are_refused(tmp_path):
    for name in ("a.gif", "a", "a.svg.txt"):
        with pytest.raises(OptionError, match=r"\.svg, \.png, \.pdf"):
            record(np.sin, 1.0).draw(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_do_not_fit(tmp_path):
    tape = record(lambda x: x * 2 if np.sum(x) > 0 else x, X)
    for args, words in (((X[:3],), r"f64\[8\]"), ((X, X), "recorded with arguments"), ((-X,), "another branch")):
        with pytest.raises(TapeError, match=words):
            tape.draw(tmp_path / "a.svg", *args)
