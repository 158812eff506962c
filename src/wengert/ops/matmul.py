"""Matrix product of stacked matrices: BLAS by address with strides for floats, plain loops for integers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import ShapeError, at_user
from wengert.ops.spec import PARTIAL, WHOLE, Lowering, Op, Params, register, rows_of
from wengert.shapes import Aval, aval, broadcast, broadcast_strides, collapse, pieces

# | kernel | size | n | out | a | b | gemm | transpose a, b | m | n | k | lda | ldb | ldz | nd | dims[nd] | a, b steps
# For every matrix of the stack: a and b are where its operands lie, z where its result goes.
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
# product and are in the way of ours, and its packing costs more than it gains up to 2^28 multiplications.
_FLOAT = """
        step_n, step_k, step_m = columns, inner, rows
        if rows * columns * inner <= {whole}:
            step_n = where(columns < 64, columns, i8(64))
            step_k = where(inner < 256, inner, i8(256))
            step_m = where(inner > 0, {piece} // (step_n * where(inner > 0, step_k, i8(1))), rows)
        down = where(ins[7] == 78, ins[12], i8(1)) * {size}
        along = where(ins[7] == 78, i8(1), ins[12]) * {size}
        across = where(ins[8] == 78, ins[13], i8(1)) * {size}
        right = where(ins[8] == 78, i8(1), ins[13]) * {size}
        if rows * columns * inner <= {piece}:
            gemm{size}(
                ins[6], ins[8], ins[7], columns, rows, inner, {kind}(1), b, ins[13], a, ins[12], {kind}(0), z, ins[14]
            )
            continue
        m = i8(0)
        while m < rows:
            count = where(step_m < rows - m, step_m, rows - m)
            j = i8(0)
            while j < columns:
                wide = where(step_n < columns - j, step_n, columns - j)
                k = i8(0)
                while k < inner:
                    length = where(step_k < inner - k, step_k, inner - k)
                    gemm{size}(
                        ins[6], ins[8], ins[7], wide, count, length, {kind}(1), b + k * across + j * right, ins[13],
                        a + m * down + k * along, ins[12], where(k == 0, {kind}(0), {kind}(1)),
                        z + (m * ins[14] + j) * {size}, ins[14],
                    )
                    k += step_k
                j += step_n
            m += step_m
"""
_PIECE, _ALL = 1 << 18, 1 << 28
_SHARED = 1 << 22
"""Multiplications from which a product is shared between threads."""

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
def _kernel(kind: str) -> tuple[str, str]:
    size = np.dtype(kind).itemsize
    if kind[0] == "f":
        product = _FLOAT.format(kind=kind, size=size, piece=_PIECE, whole=_ALL)
    else:
        plus, times = ("|", "&") if kind == "b1" else ("+", "*")
        product = _WHOLE.format(kind=kind, word="u1" if kind == "b1" else kind, plus=plus, times=times)
    return _STACK.format(size=size, product=product), f"matmul.{kind}"


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
        z = plan.aval(outs[0])
        size = z.dtype.itemsize
        is_float = z.dtype.kind == "f"
        (a, ta, lda), (b, tb, ldb) = (_matrix(plan, s, size, is_float) for s in ins)
        plan.allocate(outs[0])
        if z.size == 0:
            return
        m, n, k = z.shape[-2], z.shape[-1], plan.aval(ins[0]).shape[-1]
        lead = z.shape[:-2]
        steps = [broadcast_strides(plan.aval(s).shape[:-2], plan.strides(s)[:-2], lead) for s in (a, b)]
        dims, (sa, sb) = collapse(lead, steps)
        gemm = _jit.blas("dgemm" if size == 8 else "sgemm") if is_float else 0
        kernel, count = _kernel(z.dtype.str[1:]), z.size // (m * n)

        def emit(z: int, a: int, b: int, m: int, n_here: int) -> None:
            words = (z, a, b, gemm, ta, tb, m, n_here, k, lda, ldb, n, len(dims), *dims, *sa, *sb)
            plan.packet(*kernel, count, *words)

        parts = min(plan.threads(), max(m, n) // 16)
        if not is_float or count > 1 or parts < 2 or not _SHARED <= m * n * k <= _ALL:
            emit(outs[0], a, b, m, n)
            return
        shares = []
        for first, number in pieces(max(m, n), parts):
            if m >= n:
                views = (rows_of(plan, outs[0], -2, first, number), rows_of(plan, a, -2, first, number), b)
                shares.append(partial(emit, *views, number, n))
            else:
                views = (rows_of(plan, outs[0], -1, first, number), a, rows_of(plan, b, -1, first, number))
                shares.append(partial(emit, *views, m, number))
        plan.fork(shares)


def _matrix(plan: Lowering, slot: int, size: int, is_float: bool) -> tuple[int, int, int]:
    """The operand, copied only if BLAS could not read it where it lies; `N` or `T`; leading dimension."""
    rows, columns = plan.aval(slot).shape[-2:]
    down, right = plan.strides(slot)[-2:]
    if is_float:
        if (right == size or columns == 1) and (down >= columns * size or rows == 1) and down % size == 0:
            return slot, ord("N"), max(down // size if rows > 1 else columns, columns, 1)
        if (down == size or rows == 1) and (right >= rows * size or columns == 1) and right % size == 0:
            return slot, ord("T"), max(right // size if columns > 1 else rows, rows, 1)
    return plan.dense(slot), ord("N"), max(columns, 1)


def unbroadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum an adjoint back over the axes that broadcasting had repeated."""
    lead = len(x.shape) - len(shape)
    axes = (*range(lead), *(k + lead for k, n in enumerate(shape) if n == 1 and x.shape[k + lead] != 1))
    return np.reshape(np.sum(x, axis=axes), shape) if axes else x


MATMUL = register(Matmul())
