"""eager: value and gradient without a jit: the function runs as Python at every call, as in PyTorch and autograd."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from harness.builders import numpy_like, torch_like
from harness.model import Call, Case, Suite

from suites import logreg, mlp

STEPS, INPUTS, HIDDEN = 50, 4, 16


def cases(quick: bool) -> list[Case]:
    """What is compiled is compared in the suites that these come from; the loop has no derivative by hand."""
    compiled = ("wengert", "jax", "torch-compile")
    return [
        Case("logreg", {"of": "logreg"}, without=compiled),
        Case("mlp, batch 16", {"of": "mlp", "activation": "tanh", "batch": 16}, "float32", without=compiled),
        Case(f"rnn, loop of {STEPS}", {"of": "rnn"}, without=(*compiled, "limit")),
    ]


def _rnn_inputs(case: Case) -> tuple[Any, ...]:
    """A sequence, its targets, and weights."""
    rng = np.random.default_rng(11)
    shapes = ((INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN,))
    weights = (rng.normal(size=s) / 4.0 for s in shapes)
    return (rng.normal(size=(STEPS, INPUTS)), rng.normal(size=STEPS), np.zeros(HIDDEN), *weights)


def _rnn(xp: Any, case: Case) -> Any:
    def loss(xs: Any, targets: Any, h: Any, wx: Any, wh: Any, b: Any, wo: Any) -> Any:
        total = 0.0
        for t in range(STEPS):
            h = xp.tanh(xs[t] @ wx + h @ wh + b)
            error = h @ wo - targets[t]
            total = total + error * error
        return total / STEPS

    return loss


def _rnn_torch(case: Case) -> Any:
    import torch

    return _rnn(torch, case)


_OF = {
    "logreg": (
        logreg.inputs,
        numpy_like(logreg.make, [2]) | torch_like(logreg.make_torch, [2]) | {"limit": logreg.limit},
    ),
    "mlp": (mlp.inputs, numpy_like(mlp.make, mlp.WRT) | torch_like(mlp.make_torch, mlp.WRT) | {"limit": mlp.limit}),
    "rnn": (_rnn_inputs, numpy_like(_rnn, [3, 4, 5, 6]) | torch_like(_rnn_torch, [3, 4, 5, 6])),
}


def inputs(case: Case) -> tuple[Any, ...]:
    return _OF[case.of][0](case)


def _build(peer: str, case: Case, args: tuple[Any, ...]) -> Call:
    return _OF[case.of][1][peer](case, args)


SUITE = Suite(
    "eager", __doc__, cases, inputs,
    {peer: partial(_build, peer) for peer in _OF["mlp"][1]},
)  # fmt: skip
