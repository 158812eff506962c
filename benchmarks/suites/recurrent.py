"""What rnn, lstm and gru share: shapes, inputs, the loss, and the loop that each library's users would write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from harness.builders import numpy_like
from harness.model import Builder, Call, Case, Suite

SHAPES = ((50, 1, 2, 16), (100, 32, 2, 64), (1000, 16, 4, 32), (100, 64, 8, 256))
"""(T, B, I, H): steps, batch, inputs, hidden units."""


def cases(quick: bool) -> list[Case]:
    """Every shape in both dtypes with the loss over all outputs, and one with the loss on the last output."""
    if quick:
        return [_case(10, 4, 2, 8, "float64", "all"), _case(10, 4, 2, 8, "float32", "last")]
    found = [_case(*shape, dtype, "all") for shape in SHAPES for dtype in ("float32", "float64")]
    found.append(_case(*SHAPES[1], "float32", "last"))
    return found


def _case(steps: int, batch: int, inputs: int, hidden: int, dtype: str, loss: str) -> Case:
    name = f"{steps},{batch},{inputs},{hidden} {dtype[0]}{dtype[-2:]}" + (" last" if loss == "last" else "")
    return Case(name, {"T": steps, "B": batch, "I": inputs, "H": hidden, "loss": loss}, dtype)


def inputs(gates: int, biases: int) -> Callable[[Case], tuple[Any, ...]]:
    """Inputs of a cell with so many gates: xs, targets, input weights, recurrent weights, biases."""

    def make(case: Case) -> tuple[Any, ...]:
        rng = np.random.default_rng(2)
        hidden = case.H
        shapes = [(case.T, case.B, case.I), (case.T, case.B, hidden)[1 if case.loss == "last" else 0 :]]
        xs, targets = (rng.normal(size=s) for s in shapes)
        wide = gates * hidden
        weights = [rng.normal(size=s) / np.sqrt(hidden) for s in ((case.I, wide), (hidden, wide))]
        weights += [0.1 * rng.normal(size=wide) for _ in range(biases)]
        return tuple(a.astype(case.dtype) for a in (xs, targets, *weights))

    return make


def scan_of(xp: Any, case: Case) -> Callable[..., Any]:
    """The loop over time that a user of this namespace has."""
    if xp.__name__ == "jax.numpy":
        from jax.lax import scan

        return partial(scan, unroll=case.params.get("unroll", 1))
    if xp.__name__ == "numpy":
        from wengert import scan as ours

        return ours

    def loop(step: Any, carry: Any, xs: Any) -> Any:
        ys = []
        for t in range(len(xs)):
            carry, y = step(carry, xs[t])
            ys.append(y)
        return carry, xp.stack(ys)

    return loop


def sigmoid_of(xp: Any) -> Callable[[Any], Any]:
    """The logistic function as a user of this namespace writes it."""
    if xp.__name__ == "jax.numpy":
        import jax

        return jax.nn.sigmoid
    return lambda x: 1.0 / (1.0 + xp.exp(-x))


def zeros(xp: Any, case: Case) -> Any:
    """The first hidden state."""
    return xp.zeros((case.B, case.H), case.dtype)


def torch_builder(module_name: str, biases: int) -> Builder:
    """PyTorch's own module with our weights; gradients are handed back in our layout."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        import torch

        xs, targets, wx, wh, *bias = args
        module = getattr(torch.nn, module_name)(case.I, case.H).to(getattr(torch, case.dtype))
        with torch.no_grad():
            module.weight_ih_l0.copy_(wx.T)
            module.weight_hh_l0.copy_(wh.T)
            module.bias_ih_l0.copy_(bias[0])
            module.bias_hh_l0.copy_(bias[1] if biases == 2 else torch.zeros_like(bias[0]))
        leaves = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0]
        if biases == 2:
            leaves.append(module.bias_hh_l0)
        else:
            module.bias_hh_l0.requires_grad_(False)

        def call() -> Any:
            outputs, _ = module(xs)
            value = torch.nn.functional.mse_loss(outputs[-1] if case.loss == "last" else outputs, targets)
            gx, gh, *rest = torch.autograd.grad(value, leaves)
            return value, (gx.T, gh.T, *rest)

        return call

    return build


def suite(
    name: str, about: str, make: Any, limit: Builder, gates: int, biases: int, module: str, quick: int = 0
) -> Suite:
    """A recurrent suite from its cell.

    The hand-tuned JAX version unrolls four steps. Taking the input product out of the loop as well was measured: it
    gained nothing at the small shapes and cost XLA up to 1.7 times as long at H = 256.
    """
    wrt = range(2, 4 + biases)
    builders = numpy_like(make, wrt)
    plain = builders["jax"]
    builders["jax-tuned"] = lambda case, args: plain(replace(case, params={**case.params, "unroll": 4}), args)
    builders |= {"torch": torch_builder(module, biases), "limit": limit}
    return Suite(name, about, lambda q: cases(q)[quick : quick + 1] if q else cases(q), inputs(gates, biases), builders)


def objective(xp: Any, case: Case, last: Any, outputs: Any, targets: Any) -> Any:
    """Mean square error of the last output or of all outputs."""
    return xp.mean(((last if case.loss == "last" else outputs) - targets) ** 2)
