"""The errors of the vector functions: a million points a function in float64, every number there is in float32.

    python -m pytest -m slow tests/test_vecmath_slow.py -s

prints the largest error of each, in units in the last place.
"""

import accuracy
import numpy as np
import pytest
from helpers import function, quiet
from test_vecmath import BINARY, NAMES, ROW, names, operands, vector

pytestmark = pytest.mark.slow
BOUND = {"power": 4, "sqrt": 0.5}
CHUNK = 1 << 18


@names
def test_a_million_points_against_high_precision(name):
    worst, count = 0.0, 0
    for seed in range(1, 100):
        xs = operands(name, np.float64, 50_000, seed)
        worst = max(worst, accuracy.ulps(vector(name)(*xs), accuracy.exact(name, *xs)).max())
        count += xs[0].size
        if count >= 1_000_000:
            break
    print(f"\n{name} float64: {worst:.3f} ulp in {count} points")
    assert worst <= BOUND.get(name, 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BINARY])
def test_every_float32(name):
    """The 2^32 patterns of bits, judged by NumPy's and SciPy's float64 functions."""
    f, wide = vector(name), function(ROW[name])
    worst, at = 0.0, 0.0
    for start in range(0, 1 << 32, CHUNK):
        x = np.arange(start, start + CHUNK, dtype=np.uint32).view(np.float32)
        got = f(x)
        wanted = quiet(lambda: wide(x.astype(np.float64)))
        rounded = quiet(wanted.astype, np.float32)
        other = np.flatnonzero((got != rounded) & ~(np.isnan(got) & np.isnan(rounded)))
        errors = accuracy.ulps_of_single(got[other], wanted[other])
        zero = np.flatnonzero(got == 0)
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(wanted[zero]))
        if errors.max(initial=0) > worst:
            k = int(np.argmax(errors))
            worst, at = float(errors[k]), float(x[other[k]])
    print(f"\n{name} float32: {worst:.3f} ulp at {at!r}, of all numbers")
    assert worst <= BOUND.get(name, 2)


@pytest.mark.parametrize("name", BINARY)
def test_ten_million_pairs_of_float32(name):
    worst = 0.0
    for seed in range(1, 51):
        xs = operands(name, np.float32, 250_000, seed)
        wanted = quiet(function(ROW[name]), *[x.astype(np.float64) for x in xs])
        worst = max(worst, accuracy.ulps_of_single(vector(name)(*xs), wanted).max())
    print(f"\n{name} float32: {worst:.3f} ulp in 10 million points")
    assert worst <= BOUND.get(name, 2)
