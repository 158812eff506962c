"""The vector functions against high precision and against C99's special values; dense at their hard spots."""

import accuracy
import numpy as np
import pytest
from helpers import ROWS, function, quiet

import wengert
from wengert.ops.vecmath import VECTOR

NAMES = sorted(accuracy.EXACT)
ROW = {row.name: row for row in ROWS}
BINARY = ("power", "hypot", "arctan2")
BOUND = {"power": 1.0, "sqrt": 0.5}
"""In units in the last place; 2 for all others."""

names = pytest.mark.parametrize("name", NAMES)
both_floats = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def operands(name, dtype, n, seed=0):
    return accuracy.pairs(name, dtype, n, seed) if name in BINARY else (accuracy.points(name, dtype, n, seed),)


def errors(name, xs):
    """The errors of wengert's results, and the results."""
    got = wengert.jit(function(ROW[name]))(*xs)
    assert got.dtype == xs[0].dtype
    if got.dtype == np.float32:  # float64 functions are exact enough to judge float32
        return accuracy.ulps_of_single(got, quiet(function(ROW[name]), *[x.astype(np.float64) for x in xs])), got
    return accuracy.ulps(got, accuracy.exact(name, *xs)), got


def worst(name, xs):
    """The largest error, with a place to look at."""
    found, got = errors(name, xs)
    k = int(np.argmax(found))
    return float(found[k]), [float(x[k]) for x in xs], float(got[k])


def test_every_vector_function_is_tested():
    assert set(VECTOR) - {"copysign", "fmod"} <= set(NAMES)


@names
@both_floats
def test_error(name, dtype):
    bound = BOUND.get(name, 2.0)
    assert worst(name, operands(name, dtype, 20_000)) <= (bound, [], 0.0)
