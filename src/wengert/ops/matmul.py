"""Matrix product of stacked matrices: BLAS by address with strides for floats, plain loops for integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import ShapeError, at_user
from wengert.ops.spec import PARTIAL, WHOLE, Lowering, Op, Params, register, rows_of
from wengert.shapes import Aval, aval, broadcast, broadcast_strides, collapse, pieces

# | kernel | size | n | out | a | b | gemm | transpose a, b | m | n | k | lda | ldb | ldz | nd | dims[nd] | a, b steps |
# and the scratch of a packed product. For every matrix of the stack: a and b are where its operands lie, z where its
# result goes.
_STACK = """
def kernel(ins, addr, n):
    nd = ins[15]
    rows, columns, inner = ins[9], ins[10], ins[11]
    for t in range(n):
        a = addr[ins[4]]
        b = addr[ins[5]]
        z = addr[ins[3]] + t * rows * columns * {size}
        rest = t
        for j in range(nd - 1, -1, -1):
            up = rest // ins[16 + j]
            at = rest - up * ins[16 + j]
            a += at * ins[16 + nd + j]
            b += at * ins[16 + 2 * nd + j]
            rest = up
{product}
    return 0
"""

# Row-major z = a b is column-major z' = b' a'. Products are done in pieces of at most 2^18 multiplications, which
# OpenBLAS computes on the calling thread, where the operands lie: its own threads spin for milliseconds after each
# product and are in the way of ours, and its packing costs more than it gains up to 2^26 multiplications.
_STRIDES = """
        down = where(ins[7] == 78, ins[12], i8(1)) * {size}
        along = where(ins[7] == 78, i8(1), ins[12]) * {size}
        across = where(ins[8] == 78, ins[13], i8(1)) * {size}
        right = where(ins[8] == 78, i8(1), ins[13]) * {size}
"""
_FLOAT = f"""{_STRIDES}
        if rows * columns * inner <= {{piece}}:
            gemm{{size}}(
                ins[6], ins[8], ins[7], columns, rows, inner, {{kind}}(1), b, ins[13], a, ins[12], {{kind}}(0),
                z, ins[14],
            )
            continue
        step_n = where(columns < 64, columns, i8(64))
        step_k = where(inner < 256, inner, i8(256))
        step_m = {{piece}} // (step_n * step_k)
        m = i8(0)
        while m < rows:
            count = where(step_m < rows - m, step_m, rows - m)
            j = i8(0)
            while j < columns:
                wide = where(step_n < columns - j, step_n, columns - j)
                k = i8(0)
                while k < inner:
                    length = where(step_k < inner - k, step_k, inner - k)
                    gemm{{size}}(
                        ins[6], ins[8], ins[7], wide, count, length, {{kind}}(1), b + k * across + j * right, ins[13],
                        a + m * down + k * along, ins[12], where(k == 0, {{kind}}(0), {{kind}}(1)),
                        z + (m * ins[14] + j) * {{size}}, ins[14],
                    )
                    k += step_k
                j += step_n
            m += step_m
"""

# Larger ones read their operands so often that blocks of them are copied first, one element behind another:
#     scratch:  | 256 rows of a, 256 long | 256 rows of b, 64 long |
_PANEL = """
def panel(to, source, rows, columns, down, right):
    if right == {size}:
        for i in range(rows):
            T = p{kind}(to + i * columns * {size})
            S = p{kind}(source + i * down)
            for j in range(columns):
                put(T, j, get(S, j))
    else:  # few columns at a time: their cache lines serve the next rows, too
        for first in range(0, columns, 8):
            last = where(first + 8 < columns, first + 8, columns)
            for i in range(rows):
                T = p{kind}(to + i * columns * {size})
                for j in range(first, last):
                    T[j] = p{kind}(source + i * down + j * right)[0]
"""
_PACKED = f"""{_STRIDES}
        panel_a = addr[ins[16 + 3 * nd]]
        panel_b = panel_a + 65536 * {{size}}
        for m in range(0, rows, 256):
            count = where(256 < rows - m, i8(256), rows - m)
            for k in range(0, inner, 256):
                length = where(256 < inner - k, i8(256), inner - k)
                panel(panel_a, a + m * down + k * along, count, length, down, along)
                for j in range(0, columns, 64):
                    wide = where(64 < columns - j, i8(64), columns - j)
                    panel(panel_b, b + k * across + j * right, length, wide, across, right)
                    for i in range(0, count, 16):
                        high = where(16 < count - i, i8(16), count - i)
                        gemm{{size}}(
                            ins[6], i8(78), i8(78), wide, high, length, {{kind}}(1), panel_b, wide,
                            panel_a + i * length * {{size}}, length, where(k == 0, {{kind}}(0), {{kind}}(1)),
                            z + ((m + i) * ins[14] + j) * {{size}}, ins[14],
                        )
"""
_PANELS = 65536 + 16384
"""Elements of the scratch."""
_PIECE, _ALL = 1 << 18, 1 << 26
"""Multiplications of a piece; of a product whose operands are read where they lie."""
_SHARED = 1 << 20
"""Multiplications from which a product, or a stack of them, is shared between threads."""

_WHOLE = """
        A = p{kind}(a)
        B = p{kind}(b)
        Z = p{kind}(z)
        for i in range(rows):
            for j in range(columns):
                total = {word}(0)
                for k in range(inner):
                    total = {word}(total {plus} A[i * inner + k] {times} B[k * columns + j])
                Z[i * columns + j] = total
"""


@cache
def _kernel(kind: str, packed: bool) -> tuple[str, str]:
    size = np.dtype(kind).itemsize
    if packed:
        return _text(kind, _PACKED.format(kind=kind, size=size), _PANEL.format(kind=kind, size=size)), f"packed.{kind}"
    if kind[0] == "f":
        return _text(kind, _FLOAT.format(kind=kind, size=size, piece=_PIECE)), f"matmul.{kind}"
    plus, times = ("|", "&") if kind == "b1" else ("+", "*")
    product = _WHOLE.format(kind=kind, word="u1" if kind == "b1" else kind, plus=plus, times=times)
    return _text(kind, product), f"matmul.{kind}"


def _text(kind: str, product: str, helper: str = "") -> str:
    return helper + _STACK.format(size=np.dtype(kind).itemsize, product=product)


class Matmul(Op):
    """z[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; both operands have at least two axes."""

    name = "matmul"
    n_in = 2

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        a, b = avals
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                at_user(
                    f"matmul: Input operand 1 has a mismatch in its core dimension 0 (size {b.shape[-2]} is "
                    f"different from {a.shape[-1]}): shapes {a.shape} and {b.shape}"
                )
            )
        try:
            lead = broadcast(a.shape[:-2], b.shape[:-2])
        except ShapeError as error:
            raise ShapeError(at_user(f"matmul: {error}")) from None
        return (aval(a.dtype, (*lead, a.shape[-2], b.shape[-1])),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.matmul(*operands)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        a, b = operands
        return [
            unbroadcast(np.matmul(z_bar, np.swapaxes(b, -1, -2)), a.shape),
            unbroadcast(np.matmul(np.swapaxes(a, -1, -2), z_bar), b.shape),
        ]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        a, b = avals
        backs = [axis - x.ndim for axis, x in zip((*axes, wanted), (a, b, out), strict=True) if axis >= 0]
        back = backs[0]
        if (axes[0] >= 0 and back == -1) or (axes[0] < 0 <= axes[1] and back == -2):  # summed over
            return PARTIAL, (a.ndim - 1, b.ndim - 2)
        places = [
            x.ndim + back if (k == back + 2 or back < -2) and x.ndim + back >= 0 and x.shape[back] == rows else WHOLE
            for k, x in enumerate((a, b))
        ]
        return out.ndim + back, places

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        z, (a, b) = outs[0], (_readable(plan, s) for s in ins)
        plan.allocate(z)
        if plan.aval(z).size == 0:
            return
        axis, parts = _shared(plan, z, a)
        if parts < 2:
            _emit(plan, z, a, b)
            return
        cut = [(z, True), (a, axis != -1), (b, axis != -2)]
        shares = []
        for first, number in pieces(plan.aval(z).shape[axis], parts):
            views = [_cut(plan, s, axis, first, number) if along else s for s, along in cut]
            shares.append(partial(_emit, plan, *views))
        plan.fork(shares)


def _shared(plan: Lowering, z: int, a: int) -> tuple[int, int]:
    """Along which axis of the result threads share the work, and in how many parts."""
    what = plan.aval(z)
    *lead, m, n = what.shape
    stack, each = math.prod(lead), m * n * plan.aval(a).shape[-1]
    if what.dtype.kind != "f":
        return -2, 1
    if stack > 1:
        many = lead[0] > 1 and stack * each >= _SHARED
        return -len(what.shape), min(plan.threads(), lead[0]) if many else 1
    return -2 if m >= n else -1, min(plan.threads(), max(m, n) // 16) if each >= _SHARED else 1


def _cut(plan: Lowering, slot: int, axis: int, first: int, number: int) -> int:
    """A part of an operand along an axis counted from the last; all of it where it is repeated along that axis."""
    shape = plan.aval(slot).shape
    return slot if len(shape) < -axis or shape[axis] == 1 else rows_of(plan, slot, axis, first, number)


def _emit(plan: Lowering, z: int, a: int, b: int) -> None:
    what = plan.aval(z)
    *lead, m, n = what.shape
    is_float = what.dtype.kind == "f"
    (ta, lda), (tb, ldb) = (_matrix(plan, s) or (ord("N"), max(plan.aval(s).shape[-1], 1)) for s in (a, b))
    strides = [broadcast_strides(plan.aval(s).shape[:-2], plan.strides(s)[:-2], tuple(lead)) for s in (a, b)]
    dims, (sa, sb) = collapse(tuple(lead), strides)
    gemm = _jit.blas("dgemm" if what.dtype.itemsize == 8 else "sgemm") if is_float else 0
    k, ldz = plan.aval(a).shape[-1], plan.strides(z)[-2] // what.dtype.itemsize
    words = [z, a, b, gemm, ta, tb, m, n, k, lda, ldb, ldz, len(dims), *dims, *sa, *sb]
    packed = is_float and m * n * k > _ALL
    if packed:
        words.append(plan.scratch(_PANELS * what.dtype.itemsize))
    plan.packet(*_kernel(what.dtype.str[1:], packed), what.size // (m * n), *words)


def _readable(plan: Lowering, slot: int) -> int:
    """The operand, copied only if it could not be read where it lies."""
    return slot if plan.aval(slot).dtype.kind == "f" and _matrix(plan, slot) else plan.dense(slot)


def _matrix(plan: Lowering, slot: int) -> tuple[int, int] | None:
    """`N` or `T` and the leading dimension of matrices as BLAS reads them; None if it could not."""
    what = plan.aval(slot)
    (rows, columns), size = what.shape[-2:], what.dtype.itemsize
    down, right = plan.strides(slot)[-2:]
    if (right == size or columns == 1) and (down >= columns * size or rows == 1) and down % size == 0:
        return ord("N"), max(down // size if rows > 1 else columns, columns, 1)
    if (down == size or rows == 1) and (right >= rows * size or columns == 1) and right % size == 0:
        return ord("T"), max(right // size if columns > 1 else rows, rows, 1)
    return None


def unbroadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum an adjoint back over the axes that broadcasting had repeated."""
    lead = len(x.shape) - len(shape)
    axes = (*range(lead), *(k + lead for k, n in enumerate(shape) if n == 1 and x.shape[k + lead] != 1))
    return np.reshape(np.sum(x, axis=axes), shape) if axes else x


MATMUL = register(Matmul())
