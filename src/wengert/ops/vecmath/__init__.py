"""Elementary functions as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op."""

from __future__ import annotations

from collections.abc import Iterable

from wengert.ops.vecmath import exponential, inverse, logarithm, normal, powers, trigonometric
from wengert.ops.vecmath.text import both

_WORDS = both("""
@straight
def copysign_$K(x, y):
    return copysign(x, y)

@straight
def fmod_$K(x, y):
    return x % y
""")
"""What LLVM knows by itself, and Numba does not."""

VECTOR = {"copysign": (_WORDS,), "fmod": (_WORDS,)} | {
    name: pieces
    for family in (exponential, logarithm, trigonometric, inverse, powers, normal)
    for name, pieces in family.FUNCTIONS.items()
}
"""Name in a formula -> the pieces of text that define it, by kind; the function is called `name_kind`."""


LIMITED = dict.fromkeys(trigonometric.FUNCTIONS, trigonometric.LIMIT)
"""Functions whose text holds for arguments up to a limit only; without one, and slow, `name_far_kind` is."""


def definitions(names: Iterable[str], kind: str) -> str:
    """Kernel text that defines these functions for a kind, nothing twice."""
    return "".join(dict.fromkeys(piece[kind] for name in sorted(names) for piece in VECTOR[name]))


def whole_power(kind: str) -> str:
    """Kernel text of `power` for integers, whose exponent is not negative."""
    return f"""
def power_{kind}(x, y):
    z = {kind}(1)
    while y > 0:
        if y & 1:
            z = {kind}(z * x)
        x = {kind}(x * x)
        y = {kind}(y >> 1)
    return z
"""


NEGATIVE_POWER = 3
"""Status of a kernel that was given an integer to a negative integer power."""
