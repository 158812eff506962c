"""The tape: printed as a textbook prints it, verified, frozen, hashed by content, replayed at other inputs."""

import re
from pathlib import Path

import numpy as np
import pytest

from wengert import grad, record, scan, value_and_grad
from wengert.errors import TapeError, WengertError
from wengert.ops.spec import BY_NAME, OPS
from wengert.shapes import F32, F64, I64, aval
from wengert.tape import Captured, Const, Tape

HERE = Path(__file__).name
SOURCE = Path(__file__).read_text().splitlines()
W = np.linspace(-1.0, 1.0, 32).reshape(8, 4)
X = np.linspace(0.0, 1.0, 8)


def model(x, b):
    h = np.tanh(x @ W + b)  # the model's first line
    return np.sum(h * h)


def loop(c, xs):
    return scan(lambda h, x: (np.tanh(h * 0.5 + x), h), c, xs)


RECORDED = {
    "model": lambda: record(model, X, 0.5),
    "gradient": lambda: record(value_and_grad(model, argnums=(0, 1)), X, 0.5),
    "second derivative": lambda: record(grad(grad(lambda x: np.sin(x) * x**3)), 0.7),
    "branch": lambda: record(lambda x: x * 2 if x > 0 else x, 1.0),
    "trees": lambda: record(lambda p: {"y": [p["a"] + 1, p["b"]], "c": 3.0}, {"a": X, "b": np.arange(3)}),
    "indices": lambda: record(lambda x: (x[1:], x[::-2], x[[0, 0]], x[None, 2]), X),
    "float32": lambda: record(lambda x: x * 2 + W.astype(np.float32)[0], np.ones(4, np.float32)),
    "scan": lambda: record(loop, 0.5, X),
    "gradient of scan": lambda: record(grad(lambda c, xs: loop(c, xs)[0], argnums=(0, 1)), 0.5, X),
    "nested scans": lambda: record(
        grad(lambda c, xs: np.sum(scan(lambda h, x: (loop(h * x, xs)[0], h), c, xs)[1])), 0.5, X
    ),
    "constant": lambda: record(lambda x: 2.0, X),
    "the input itself": lambda: record(lambda x: x, X),
    "nothing": lambda: record(lambda x: None, X),
}


# --- to look at ----------------------------------------------------------------------------------------


def test_printed_form():
    text = str(record(lambda a, b: (a * b).sum(axis=0), np.ones((4, 8)), np.ones((4, 8)))).splitlines()
    number = 1 + next(k for k, line in enumerate(SOURCE) if "text = str(record(" in line)
    assert re.fullmatch(r"tape .*", text[0])
    assert re.fullmatch(r"  %\d+ = input : f64\[4,8\]", text[1])
    assert re.fullmatch(rf"  %(\d+) = mul %\d+ %\d+ : f64\[4,8\]   +{HERE}:{number}", text[3])
    assert re.fullmatch(rf"  %(\d+) = sum %\d+ .* : f64\[8\]   +{HERE}:{number}", text[4])
    assert re.fullmatch(r"  return %\d+", text[-1])
    assert len(text) == 6


def test_printed_lines_name_the_users_line():
    tape = record(model, X, 0.5)
    lines = str(tape).splitlines()
    first = 1 + next(k for k, line in enumerate(SOURCE) if line.endswith("# the model's first line"))
    assert any("tanh" in line and line.endswith(f"{HERE}:{first}") for line in lines)
    assert any("= sum " in line and line.endswith(f"{HERE}:{first + 1}") for line in lines)
    assert any("captured : f64[8,4]" in line for line in lines)
    assert lines[0] == "tape model"


def test_printed_sources_constants_and_guards():
    text = str(record(lambda x: x * 2.5 if x > 0 else x, 1.0))
    assert re.search(r"%\d+ = const 2.5 : f64\[\]", text)
    assert re.search(r"^  guard %\d+ %\d+ .*" + HERE, text, re.M)
    assert "bool[]" in text


def test_printed_body_of_a_scan():
    text = str(record(loop, 0.5, X))
    assert re.search(r"= scan .*length=8 : f64\[\] f64\[8\]", text)
    assert re.search(r"^  body 0:$", text, re.M)
    assert re.search(rf"^ {{6}}%\d+ = tanh %\d+ : f64\[\] +{HERE}:\d+$", text, re.M)
    assert re.search(
        r"= scan .* reverse", str(record(lambda c, xs: scan(lambda h, x: (h, x), c, xs, reverse=True), 0.5, X))
    )


def test_every_slot_is_printed_before_it_is_read():
    for name, make in RECORDED.items():
        known: set[str] = set()
        body = False
        for line in str(make()).splitlines():
            body |= line.startswith("  body")
            if body:
                continue
            left, _, right = line.partition(" = ") if " = " in line else ("", "", line)
            assert set(re.findall(r"%\d+", right)) <= known, f"{name}: {line}"
            new = re.findall(r"%\d+", left)
            assert not known & set(new), f"{name}: {line}"
            known |= set(new)


def test_repr_and_length():
    tape = record(model, X, 0.5)
    assert repr(tape) == f"<tape model(f64[8], f64[]), {len(tape.instructions)} instructions>"
    assert len(tape) == len(tape.instructions) == len(tape.lines)


# --- the flat form ---------------------------------------------------------------------------------------


def test_code_is_flat_int64_read_only_and_complete():
    for make in RECORDED.values():
        tape = make()
        code = tape.code
        assert code.dtype == np.int64
        assert code.ndim == 1
        assert not code.flags.writeable
        at = 0
        for op, outs, ins, params in tape.instructions:
            number, size, n_out, n_in = code[at : at + 4]
            assert OPS[number] is op
            words = code[at + 4 : at + size].tolist()
            assert words == [*outs, *ins, *params]
            assert (n_out, n_in) == (len(outs), len(ins))
            at += size
        assert at == len(code)
    with pytest.raises(ValueError, match="read-only"):
        record(model, X, 0.5).code[0] = 1


def test_the_tape_is_frozen():
    tape = record(model, X, 0.5)
    for part in (tape.instructions, tape.avals, tape.inputs, tape.outputs, tape.consts, tape.captured, tape.lines):
        assert isinstance(part, tuple)
    assert isinstance(tape, Tape)


# --- verify ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_tapes_are_legal(name):
    tape = RECORDED[name]()
    tape.verify()
    for sub in tape.subtapes:
        sub.verify()


ADD, MUL, SUM, TRANSPOSE, INDEX, GUARD = (BY_NAME[n] for n in ("add", "mul", "sum", "transpose", "index", "guard"))
V, S, M = aval(F64, (3,)), aval(F64, ()), aval(F64, (2, 3))


def tape_of(instructions, avals, inputs=(0, 1), outputs=(2,), **rest):
    return Tape(instructions, avals, inputs, outputs, **rest)


def test_a_hand_made_tape_is_legal():
    tape_of([(ADD, (2,), (0, 1), ())], [V, V, V]).verify()
    tape_of([(SUM, (2,), (0,), (0, 0))], [V, V, S]).verify()


ONE = np.array(1.0)
BROKEN = {
    "slot written twice": (tape_of([(ADD, (2,), (0, 1), ()), (MUL, (2,), (0, 1), ())], [V, V, V]), "%2.*already"),
    "input written": (tape_of([(ADD, (1,), (0, 0), ())], [V, V], outputs=(1,)), "%1.*already"),
    "input listed twice": (tape_of([], [V], inputs=(0, 0), outputs=(0,)), "%0.*already"),
    "constant over an input": (tape_of([], [S, S], outputs=(0,), consts=[Const(1, ONE)]), "%1.*already"),
    "one instruction writes a slot twice": (
        tape_of([(ADD, (2, 2), (0, 1), ())], [V, V, V]),
        "%2",
    ),
    "read before write": (
        tape_of([(ADD, (2,), (0, 3), ()), (MUL, (3,), (0, 1), ())], [V, V, V, V], outputs=(3,)),
        "%3 before",
    ),
    "read of itself": (tape_of([(ADD, (2,), (2, 1), ())], [V, V, V]), "%2 before"),
    "read of an unknown slot": (tape_of([(ADD, (2,), (0, 9), ())], [V, V, V]), "%9"),
    "write of an unknown slot": (tape_of([(ADD, (7,), (0, 1), ())], [V, V, V], outputs=(7,)), "%7.*3 slots"),
    "negative slot": (tape_of([(ADD, (-1,), (0, 1), ())], [V, V, V], outputs=(-1,)), "%-1"),
    "unknown input": (tape_of([], [V], inputs=(5,), outputs=(5,)), "%5.*1 slots"),
    "output never written": (tape_of([], [V, V, V]), "return.*%2"),
    "unknown output": (tape_of([], [V, V], outputs=(8,)), "%8"),
    "wrong shape": (tape_of([(ADD, (2,), (0, 1), ())], [V, V, M]), "f64\\[3\\]"),
    "wrong dtype": (tape_of([(ADD, (2,), (0, 1), ())], [V, V, aval(F32, (3,))]), "f64\\[3\\]"),
    "integer result": (tape_of([(ADD, (2,), (0, 1), ())], [V, V, aval(I64, (3,))]), "f64\\[3\\]"),
    "comparison that gives floats": (tape_of([(BY_NAME["less"], (2,), (0, 1), ())], [V, V, V]), "bool\\[3\\]"),
    "operands that do not broadcast": (tape_of([(ADD, (2,), (0, 1), ())], [V, aval(F64, (4,)), V]), "broadcast|shape"),
    "too few operands": (tape_of([(ADD, (2,), (0,), ())], [V, V, V]), "add"),
    "too many operands": (tape_of([(SUM, (2,), (0, 1), (0, 0))], [V, V, S]), "sum"),
    "too few results": (tape_of([(ADD, (), (0, 1), ())], [V, V, V], outputs=(0,)), "add"),
    "guard with a result": (tape_of([(GUARD, (2,), (0, 1), ())], [V, V, V]), "guard"),
    "axis out of range": (tape_of([(SUM, (2,), (0,), (0, 5))], [V, V, S]), "sum"),
    "axes not a permutation": (
        tape_of([(TRANSPOSE, (1,), (0,), (0, 0))], [M, aval(F64, (2, 2))], (0,), (1,)),
        "transpose",
    ),
    "reshape to another size": (tape_of([(BY_NAME["reshape"], (2,), (0,), (4,))], [V, V, aval(F64, (4,))]), "reshape"),
    "index out of range": (tape_of([(INDEX, (2,), (0,), (0, 7, 0, 0))], [V, V, S]), "index"),
    "constant of another shape": (tape_of([], [V, S], (0,), (0,), consts=[Const(1, np.zeros(2))]), "%1.*f64\\[\\]"),
    "constant of another dtype": (tape_of([], [V, S], (0,), (0,), consts=[Const(1, np.float32(1))]), "%1.*float32"),
    "captured array of another shape": (
        tape_of([], [V, V], (0,), (0,), captured=[Captured(1, np.zeros(4))]),
        "%1.*f64\\[3\\]",
    ),
    "sub-tape that does not exist": (
        tape_of([(BY_NAME["scan"], (2,), (0, 1), (0, 1, 1, 5, 0, 0))], [V, V, V]),
        "scan",
    ),
    "sub-tape that is broken": (
        tape_of([], [V, V], outputs=(0,), subtapes=[tape_of([(ADD, (2,), (0, 9), ())], [V, V, V])]),
        "%9",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tapes_are_refused(name):
    tape, words = BROKEN[name]
    with pytest.raises(TapeError, match=words):
        tape.verify()


def changed(tape, **parts):
    names = ("instructions", "avals", "inputs", "outputs", "consts", "captured", "lines", "subtapes", "name")
    return Tape(**{n: parts.get(n, getattr(tape, n)) for n in names})


def test_every_changed_slot_of_a_recorded_tape_is_noticed_or_equal():
    """Breaking a real tape: each instruction left out, each result's type changed."""
    tape = record(grad(model), X, 0.5)
    read = {s for _, _, ins, _ in tape.instructions for s in ins} | set(tape.outputs)
    for k, (_, outs, _, _) in enumerate(tape.instructions):
        if read & set(outs):
            with pytest.raises(TapeError):
                changed(tape, instructions=tape.instructions[:k] + tape.instructions[k + 1 :]).verify()
        for s in outs:
            other = aval(I64, (*tape.avals[s].shape, 2))
            with pytest.raises(TapeError):
                changed(tape, avals=(*tape.avals[:s], other, *tape.avals[s + 1 :])).verify()


def test_broken_body_of_a_scan_is_noticed():
    tape = record(loop, 0.5, X)
    body = tape.subtapes[0]
    for broken in (
        changed(body, instructions=()),
        changed(body, outputs=body.outputs[:1]),
        changed(body, inputs=body.inputs[:-1]),
        changed(body, instructions=body.instructions[::-1]),
    ):
        with pytest.raises(TapeError):
            changed(tape, subtapes=(broken,)).verify()


# --- the content hash ------------------------------------------------------------------------------------------


def test_equal_programs_have_equal_hashes():
    def f(x):
        return np.sum(np.sin(x) * 2.0)

    def g(argument):
        inside = np.sin(argument)
        product = inside * 2.0
        return np.sum(product)

    assert record(f, X).hash() == record(g, X).hash() == record(f, X + 1).hash()
    assert record(loop, 0.5, X).hash() == record(loop, 0.7, X * 2).hash()
    w = W * 3
    assert record(lambda x: np.sum(x @ W), X).hash() == record(lambda x: np.sum(x @ w), X).hash()
    assert len(record(f, X).hash()) == 64


def test_different_programs_have_different_hashes():
    programs = [
        record(lambda x: np.sum(np.sin(x) * 2.0), X),
        record(lambda x: np.sum(np.sin(x) * 2.5), X),
        record(lambda x: np.sum(np.cos(x) * 2.0), X),
        record(lambda x: np.sum(np.sin(x) + 2.0), X),
        record(lambda x: np.sum(np.sin(x) * 2), X[:5]),
        record(lambda x: np.sum(np.sin(x) * 2), X.astype(np.float32)),
        record(lambda x: np.sum(np.sin(x)) * 2.0, X),
        record(lambda x: np.sum(np.sin(x) * -2.0), X),
        record(lambda x: np.sin(x) * 2.0, X),
        record(lambda x, y: np.sum(np.sin(x) * 2.0), X, X),
        record(lambda x, y: x - y, X, X),
        record(lambda x, y: y - x, X, X),
        record(lambda x: x * 0.0, X),
        record(lambda x: x * -0.0, X),
        record(lambda x: np.sum(x.reshape(2, 4), axis=0), X),
        record(lambda x: np.sum(x.reshape(4, 2), axis=1), X),
        record(lambda x: x[1:], X),
        record(lambda x: x[:-1], X),
        record(lambda x: x[::-1], X),
        record(lambda x: x[[0, 1]], X),
        record(lambda x: x[[1, 0]], X),
        record(loop, 0.5, X),
        record(loop, 0.5, X[1:]),
        record(lambda c, xs: scan(lambda h, x: (np.tanh(h * 0.25 + x), h), c, xs), 0.5, X),
        record(lambda c, xs: scan(lambda h, x: (np.tanh(h * 0.5 + x), h), c, xs, reverse=True), 0.5, X),
    ]
    assert len({tape.hash() for tape in programs}) == len(programs)


# --- replay ----------------------------------------------------------------------------------------------------


def test_replay_at_other_inputs():
    tape = record(model, X, 0.5)
    for x, b in ((X, 0.5), (np.sin(X), -1.0), (-X, 3.0), (X[::-1], 0.0)):
        assert tape(x, b) == pytest.approx(float(model(x, b)), rel=1e-13)
    both = record(value_and_grad(model, argnums=(0, 1)), X, 0.5)
    for x, b in ((X, 0.5), (np.sin(X), -1.0)):
        value, slopes = both(x, b)
        right, want = value_and_grad(model, argnums=(0, 1))(x, b)
        assert value == right
        for s, t in zip(slopes, want, strict=True):
            assert np.array_equal(s, t)


def test_replay_keeps_structures():
    tape = record(lambda p: {"y": [p["a"] + 1, None], "z": (p["b"],)}, {"a": X, "b": np.arange(3)})
    out = tape({"a": -X, "b": np.array([7, 8, 9])})
    assert out["y"][0].tolist() == (1 - X).tolist()
    assert out["y"][1] is None
    assert out["z"][0].tolist() == [7, 8, 9]


def test_replay_of_a_scan():
    tape = record(loop, 0.5, X)
    for c, xs in ((0.5, X), (-1.0, np.cos(X))):
        h, ys = c, []
        for x in xs:
            ys.append(h)
            h = np.tanh(h * 0.5 + x)
        carry, stack = tape(c, xs)
        assert carry == pytest.approx(h, rel=1e-13)
        np.testing.assert_allclose(stack, ys, rtol=1e-13)


def test_replay_reads_captured_arrays_anew():
    w = np.ones(3)
    tape = record(lambda x: x * w, np.ones(3))
    assert tape(np.full(3, 2.0)).tolist() == [2.0] * 3
    w[...] = 5.0
    assert tape(np.full(3, 2.0)).tolist() == [10.0] * 3


def test_results_of_replays_are_fresh():
    tape = record(lambda x: (x, x * 2), X)
    a, b = tape(X), tape(X)
    assert not any(np.shares_memory(u, v) for u, v in ((a[0], X), (a[0], b[0]), (a[1], b[1]), (a[0], a[1])))


def test_replay_refuses_other_shapes_dtypes_and_structures():
    tape = record(model, X, 0.5)
    for x, b, words in (
        (X[:5], 0.5, r"f64\[8\].*float64\[5\]"),
        (X[None], 0.5, r"f64\[8\]"),
        (X, np.ones(1), r"f64\[\]"),
        (X.astype(complex), 0.5, "complex128"),
    ):
        with pytest.raises(TapeError, match=words) as info:
            tape(x, b)
        assert HERE in str(info.value)
    for args in ((X,), (X, 0.5, 1.0), ([X], 0.5), ({"x": X}, 0.5), ()):
        with pytest.raises(TapeError, match="recorded with arguments"):
            tape(*args)
    whole = record(lambda n: n + 1, np.arange(3))
    with pytest.raises(TapeError, match="i64"):
        whole(np.array([0.5, 1.5, 2.5]))


def test_replay_refuses_another_branch():
    tape = record(lambda x: x * 2 if x > 0 else x * 3, 1.0)
    assert tape(4.0) == 8.0
    with pytest.raises(TapeError, match=r"another branch.*jit") as info:
        tape(-1.0)
    assert HERE in str(info.value)
    assert tape(5.0) == 10.0
    steps = record(lambda x, n: x * sum(range(int(n))), 1.0, 4)
    assert steps(2.0, 4) == 12.0
    with pytest.raises(TapeError, match="another branch"):
        steps(2.0, 5)


def test_replay_reports_an_index_out_of_bounds():
    tape = record(lambda x, k: x[k], X, np.array([0, 1]))
    assert tape(X, np.array([7, -8])).tolist() == [X[7], X[0]]
    with pytest.raises(IndexError, match="out of bounds") as info:
        tape(X, np.array([0, 8]))
    assert isinstance(info.value, WengertError)
    assert HERE in str(info.value)
