"""The kernel cache: a second process compiles nothing, and nothing damaged or stale is ever used."""

import json
import os
import subprocess
import sys

import pytest

from wengert import _jit

PROGRAM = """
import json, sys
import numpy as np
import wengert
from wengert import _jit

x, w = np.linspace(-1, 1, 6), np.linspace(0, 1, 12).reshape(6, 2)
value, slope = wengert.value_and_grad(lambda x: np.sum(np.tanh(x @ w)))(x)
h = np.tanh(x @ w)
good = bool(abs(value - h.sum()) < 1e-12 and np.allclose(slope, w @ (1 - h * h), rtol=1e-12))
print(json.dumps([good, _jit.stats.compiled, sorted(_jit.stats.loaded), "numba" in sys.modules]))
"""


def run(cache, program=PROGRAM):
    env = {**os.environ, "WENGERT_CACHE_DIR": str(cache), "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that one process has filled, and what that process did."""
    cache = tmp_path_factory.mktemp("kernels") / "made" / "on demand"
    return cache, run(cache)


def files(cache):
    return sorted(p.name for p in cache.iterdir())


def copy(cache, to):
    to.mkdir()
    for p in cache.iterdir():
        (to / p.name).write_bytes(p.read_bytes())
    return to


def test_first_process_compiles_and_fills_the_cache(warm):
    cache, (good, compiled, loaded, numba) = warm
    assert good
    assert compiled
    assert loaded == []
    assert numba
    assert len(files(cache)) == len(compiled)
    assert not [name for name in files(cache) if not name.endswith(".o")]


def test_second_process_compiles_nothing_and_does_not_import_numba(warm):
    cache, (_, compiled, _, _) = warm
    before = files(cache)
    assert run(cache) == [True, [], sorted(compiled), False]
    assert files(cache) == before


def test_damaged_files_are_compiled_again(warm, tmp_path):
    cache = copy(warm[0], tmp_path / "damaged")
    names = files(cache)
    wounds = [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: bytes(len(data)),
        lambda data: data + b"\0",
        lambda data: b"not machine code at all",
    ]
    sound = {name: (cache / name).read_bytes() for name in names}
    for name, wound in zip(names, wounds, strict=False):
        (cache / name).write_bytes(wound(sound[name]))
    hurt = min(len(names), len(wounds))
    good, compiled, loaded, _ = run(cache)
    assert good
    assert len(compiled) == hurt
    assert len(loaded) == len(names) - hurt
    assert files(cache) == names
    good, compiled, loaded, numba = run(cache)
    assert (good, compiled, len(loaded), numba) == (True, [], len(names), False)


def test_a_file_of_another_kernel_is_not_taken_for_this_one(warm, tmp_path):
    """Sound machine code under a wrong name (a cache copied badly) must not be called."""
    cache = copy(warm[0], tmp_path / "swapped")
    first, second = files(cache)[:2]
    a, b = (cache / first).read_bytes(), (cache / second).read_bytes()
    (cache / first).write_bytes(b)
    (cache / second).write_bytes(a)
    assert run(cache)[0]


def test_a_folder_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    good, compiled, loaded, _ = run(blocked / "cache")
    assert good
    assert compiled
    assert loaded == []
    assert blocked.read_text() == "in the way"


def test_the_chosen_and_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(tmp_path / "chosen"))
    assert _jit.cache_dir() == tmp_path / "chosen"
    monkeypatch.delenv("WENGERT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert _jit.cache_dir().name == "wengert"


def test_the_key_is_the_content():
    source = "def kernel(ins, addr, n):\n    return 0\n"
    key = _jit.content_key(source)
    assert key == _jit.content_key(str(source))
    others = [source + " ", source.replace("0", "1"), source.replace("n)", "m)"), ""]
    assert len({key, *map(_jit.content_key, others)}) == 1 + len(others)
    assert key.isalnum()


def test_an_edited_formula_has_another_key():
    from wengert.ops.elementwise import BY_NAME, Elementwise
    from wengert.shapes import F32, F64, aval

    def key(formula, dtype=F64):
        op = Elementwise("probe", "x y", formula, ("", ""), "", "real")
        what = aval(dtype, ())
        return _jit.content_key(op.kernel((what, what), what)[0])

    keys = [key("x * y"), key("x * y + 0.5"), key("x * y + 0.25"), key("tanh(x) * y"), key("x * y", F32)]
    assert len(set(keys)) == len(keys)
    assert key("x * y") == keys[0]
    assert "probe" not in BY_NAME


def test_a_kernel_that_does_not_compile_is_an_error_with_its_source():
    from wengert.errors import KernelError

    with pytest.raises(KernelError, match="def kernel"):
        _jit.address("def kernel(ins, addr, n):\n    return no_such_word(n)\n", "broken")
    assert "broken" not in _jit.stats.compiled
