"""The guard: a replay stops here if a value that Python saw while recording has another value now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.ops.spec import Lowering, Op, Params, register
from wengert.shapes import Aval

MISSED = 2
"""Status with which a guard stops the replay."""

VALUE = 3
"""The word of a guard's packet that says which slot holds the value."""

_SOURCE = f"""
def kernel(ins, addr, n):
    X = pu1(addr[ins[{VALUE}]])
    Y = pu1(addr[ins[4]])
    for i in range(n):
        if X[i] != Y[i]:
            return {MISSED}
    return 0
"""


class Guard(Op):
    """No result; operands are a value and the constant that it must equal, bit for bit."""

    name = "guard"
    n_in = 2
    n_out = 0

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return ()

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return ()

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        value, wanted = (plan.dense(s) for s in ins)
        plan.packet(_SOURCE, "guard", plan.aval(value).nbytes, value, wanted)


GUARD = register(Guard())
