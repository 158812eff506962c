"""Sums from front to back: what a Python loop over elements adds up, term after term."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from wengert.ops.spec import Lowering, Op, Params, register
from wengert.shapes import Aval

# | kernel | size | n | out | start | x | bytes from element to element | y | bytes ... |
_SOURCE = """
def kernel(ins, addr, n):
    total = p{kind}(addr[ins[4]])[0]
{bases}
    for i in range(n):
{terms}
    p{kind}(addr[ins[3]])[0] = total
    return 0
"""


@cache
def _kernel(kind: str, vectors: int) -> tuple[str, str]:
    bases = [f"    x{k} = addr[ins[{5 + 2 * k}]]" for k in range(vectors)]
    terms = [f"        total = {kind}(total + p{kind}(x{k} + i * ins[{6 + 2 * k}])[0])" for k in range(vectors)]
    return _SOURCE.format(kind=kind, bases="\n".join(bases), terms="\n".join(terms)), f"chain.{kind}"


class Chain(Op):
    """z = ((((s + x[0]) + y[0]) + ...) + x[1]) + ..., in this order; s is a number, the vectors are of one length."""

    name = "chain"
    n_in = None

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (avals[0],)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        start, *vectors = operands
        return np.add.accumulate(np.concatenate([np.reshape(start, 1), np.stack(vectors, axis=1).ravel()]))[-1]

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [z_bar, *(np.broadcast_to(z_bar, x.shape) for x in operands[1:])]

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        plan.allocate(outs[0])
        x = plan.aval(ins[1])
        words = [word for s in ins[1:] for word in (s, plan.strides(s)[0])]
        plan.packet(*_kernel(x.dtype.str[1:], len(ins) - 1), x.size, outs[0], ins[0], *words)


CHAIN = register(Chain())
