"""A tape as a file: equal results to the bit, no pickle, and nothing believed of a damaged or crafted file."""

import io
import json
import subprocess
import sys
import zipfile
from collections import OrderedDict, deque

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_programs import STEPS, inputs, loss, programs, shapes_of_inputs
from test_tape import RECORDED

import wengert
from wengert import grad, load, record, tapefile, value_and_grad
from wengert.errors import TapeError
from wengert.ops.spec import BY_NAME

X = np.linspace(0.1, 1.0, 8)
ARGUMENTS = {
    "model": (X + 1, 2.5), "gradient": (X - 1, -0.5), "second derivative": (1.3,), "branch": (3.0,),
    "trees": ({"a": X, "b": np.array([3, 1, 2])},), "indices": (X,), "float32": (np.full(4, 3, np.float32),),
    "scan": (0.25, X), "gradient of scan": (0.25, X), "nested scans": (0.25, X), "constant": (X,),
    "the input itself": (X,), "nothing": (X,),
}  # fmt: skip


def flat(t):
    return [(np.asarray(x).dtype, np.shape(x), np.asarray(x).tobytes()) for x in wengert.tree.flatten(t)[0]]


def saved(tape, folder):
    path = folder / "tape.npz"
    tape.save(path)
    return path


@pytest.mark.parametrize("name", RECORDED)
def test_round_trip(name, tmp_path):
    tape = RECORDED[name]()
    found = load(saved(tape, tmp_path))
    assert str(found) == str(tape)
    assert found.hash() == tape.hash()
    got, want = found(*ARGUMENTS[name]), tape(*ARGUMENTS[name])
    assert flat(got) == flat(want)
    assert wengert.tree.flatten(got)[1] == wengert.tree.flatten(want)[1]


profile = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@profile
@given(programs(STEPS, 8), shapes_of_inputs, st.integers(0, 1000))
def test_round_trip_of_random_programs(tmp_path_factory, program, shapes, seed):
    xs = inputs(shapes, seed)
    tape = record(value_and_grad(loss(program), range(len(xs))), *xs)
    path = tmp_path_factory.mktemp("tapes") / "t.npz"
    tape.save(path)
    found = load(path)
    assert str(found) == str(tape)
    for args in (xs, inputs(shapes, seed + 1)):
        assert flat(found(*args)) == flat(tape(*args))


TREES = st.recursive(
    st.sampled_from([1.0, 2, None]) | st.builds(np.arange, st.integers(0, 3)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@profile
@given(TREES)
def test_round_trip_of_structures(tmp_path_factory, arguments):
    tape = record(lambda t: (t, [t]), arguments)
    path = tmp_path_factory.mktemp("tapes") / "t.npz"
    tape.save(path)
    assert flat(load(path)(arguments)) == flat((arguments, [arguments]))
    assert repr(load(path)(arguments)) == repr(tape(arguments))


def test_other_structures_are_refused(tmp_path):
    with pytest.raises(TapeError, match="OrderedDict"):
        record(lambda t: t["a"], OrderedDict(a=1.0)).save(tmp_path / "t.npz")
    assert not list(tmp_path.iterdir())


def test_captured_arrays_are_saved_with_their_values(tmp_path):
    w = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    tape = record(lambda x: x @ w, np.ones(2))
    w *= 2
    path = saved(tape, tmp_path)
    w *= 0
    found = load(path)
    assert found(np.ones(2)).tolist() == [6.0, 10.0, 14.0]
    found.captured[0].array[...] = 1.0
    assert found(np.ones(2)).tolist() == [2.0, 2.0, 2.0]


def test_loaded_without_the_source(tmp_path):
    path = saved(record(grad(lambda x: np.sum(np.tanh(x) ** 3)), X), tmp_path)
    want = grad(lambda x: np.sum(np.tanh(x) ** 3))(X)
    code = (
        f"import numpy as np, wengert\nf = wengert.load({str(path)!r})\n"
        "print(f(np.linspace(0.1, 1.0, 8)).tobytes().hex())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert bytes.fromhex(out.stdout) == want.tobytes()


def test_errors_of_a_loaded_tape_name_the_line_it_was_recorded_at(tmp_path):
    found = load(saved(record(lambda x, k: x[k], X, np.array([1])), tmp_path))
    with pytest.raises(IndexError, match=r"test_tapefile\.py"):
        found(X, np.array([99]))
    with pytest.raises(TapeError, match="arguments"):
        found(X)


# --- damaged files -------------------------------------------------------------------------------------


def damaged(raw, path, tape):
    """Whatever has happened to the bytes: an error, or the tape as it was."""
    path.write_bytes(raw)
    try:
        found = load(path)
    except TapeError:
        return True
    assert str(found) == str(tape)
    assert found.hash() == tape.hash()
    return False


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    w = np.arange(4.0)
    tape = record(grad(lambda c, xs: wengert.scan(lambda h, x: (np.tanh(h + x * w[0]), None), c, xs)[0]), 0.5, X[:3])
    path = tmp_path_factory.mktemp("example") / "t.npz"
    tape.save(path)
    return tape, path.read_bytes()


def test_every_byte_flipped(example, tmp_path):
    tape, raw = example
    refused = sum(
        damaged(raw[:k] + bytes([raw[k] ^ flip]) + raw[k + 1 :], tmp_path / "t.npz", tape)
        for flip, step in ((0xFF, 7), (0x01, 11))
        for k in range(0, len(raw), step)
    )
    assert refused > 0


def test_truncated_or_grown(example, tmp_path):
    tape, raw = example
    for size in range(0, len(raw), 29):
        assert damaged(raw[:size], tmp_path / "t.npz", tape)
    assert damaged(b"", tmp_path / "t.npz", tape)
    damaged(raw[100:], tmp_path / "t.npz", tape)
    damaged(raw + b"x" * 100, tmp_path / "t.npz", tape)


@profile
@given(st.data())
def test_regions_overwritten(example, tmp_path_factory, data):
    tape, raw = example
    start = data.draw(st.integers(0, len(raw) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=40))
    damaged(raw[:start] + noise + raw[start + len(noise) :], tmp_path_factory.mktemp("t") / "t.npz", tape)


def test_files_that_are_no_tapes(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, a=np.ones(3))
    with pytest.raises(TapeError, match="no tape"):
        load(path)
    path.write_text("hello")
    with pytest.raises(TapeError, match="damaged, or no tape"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.npz")


def rewritten(raw, change):
    """The file with its header and arrays changed, and a digest that fits: crafted, not damaged."""
    with np.load(io.BytesIO(raw)) as found:
        arrays = {n: found[n] for n in found.files}
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    header["digest"] = tapefile._digest(header, arrays)
    out = io.BytesIO()
    np.savez(out, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return out.getvalue()


def test_a_newer_format_is_refused(example, tmp_path):
    path = tmp_path / "t.npz"
    path.write_bytes(rewritten(example[1], lambda h, a: h.update(format=2, version="9.9")))
    with pytest.raises(TapeError, match=r"format 2, written by wengert 9\.9"):
        load(path)


FORMULAS = [
    "__import__('os').system('true')",
    "(lambda: 1)()",
    "a.real",
    "a[0]",
    "[a for a in a]",
    "print(a)",
    "eval(a)",
    "exp(a, out=b)",
    "exp(exp)",
    "a ** b",
    "a if b else 1",
    "a and b",
    "'text'",
    "1e400 + a",
    "9999999999999999999999 + a",
    "a+b",
    "nosuch(a)",
    "where(a)(b)",
    "f(a)",
    "a := 3",
    "a; b",
    "a\nb",
    "",
    "(" * 300 + "a" + ")" * 300,
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("args", ["a b", "exp a", "__import__ a", "x y"])
def test_formulas_that_are_no_arithmetic_are_refused(formula, args, example, tmp_path):
    before = set(BY_NAME)

    def change(header, arrays):
        header["ops"] = [[formula, args] if a is not None and n not in before else [n, a] for n, a in header["ops"]]
        header["ops"][0] = [formula, args]

    path = tmp_path / "t.npz"
    path.write_bytes(rewritten(example[1], change))
    with pytest.raises(TapeError):
        load(path)
    assert set(BY_NAME) == before


CRAFTED = {
    "unknown op": lambda h, a: h["ops"].__setitem__(0, ["no such op", None]),
    "another op": lambda h, a: h["ops"].reverse(),
    "a slot out of range": lambda h, a: h.update(tapes=[{**h["tapes"][0], "outputs": [999]}, *h["tapes"][1:]]),
    "negative shape": lambda h, a: h["avals"].__setitem__(0, ["f8", [-3]]),
    "a dtype that is none": lambda h, a: h["avals"].__setitem__(0, ["O", [3]]),
    "a body that is itself": lambda h, a: h["tapes"][0].update(subtapes=[0]),
    "code that ends early": lambda h, a: a.update({"code.0": a["code.0"][:-1]}),
    "an instruction of no length": lambda h, a: a.update({"code.0": np.zeros(4, np.int64)}),
    "no code": lambda h, a: a.pop("code.0"),
    "another constant": lambda h, a: a.update({k: np.ones((2, 2)) for k in a if k.startswith("const")}),
    "no container": lambda h, a: h.update(arguments=["os.system", []]),
    "no tapes": lambda h, a: h.update(tapes=[]),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_files_are_refused(name, example, tmp_path):
    path = tmp_path / "t.npz"
    path.write_bytes(rewritten(example[1], CRAFTED[name]))
    with pytest.raises(TapeError):
        load(path)


def test_a_pickle_inside_is_not_read(example, tmp_path):
    path = tmp_path / "t.npz"
    evil = io.BytesIO()
    np.save(evil, np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(example[1])) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, evil.getvalue() if name == "code.0.npy" else old.read(name))
    with pytest.raises(TapeError, match="allow_pickle=False"):
        load(path)


def test_an_existing_file_survives_a_refused_save(tmp_path):
    path = saved(record(lambda x: x * 2, 1.0), tmp_path)
    with pytest.raises(TapeError):
        record(lambda t: t[0], deque([1.0])).save(path)
    assert load(path)(4.0) == 8.0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
