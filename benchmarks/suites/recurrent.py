"""What rnn, lstm and gru share: shapes, inputs, the loss, and the loop that each library's users would write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from harness.builders import numpy_like, tuned
from harness.model import Builder, Call, Case, Suite

ByHand = Callable[[str, bool], Any]
"""From a dtype and whether the loss is on the last output alone to the compiled derivative."""
Frames = Callable[[int, int], Sequence[tuple[int, int]]]
"""From steps and width of the state to (steps, width) of what the derivative by hand keeps over time."""

SHAPES = {
    (50, 1, 2, 16): (),
    (100, 32, 2, 64): ("unjitted",),
    (1000, 16, 4, 32): ("unjitted", "autograd"),
    (100, 64, 8, 256): ("unjitted", "autograd"),
}
"""(T, B, I, H): steps, batch, inputs, hidden units; and who is left out: wengert without jit where that makes no
difference, autograd with its Python loop where nobody would wait for it."""


def cases(quick: bool) -> list[Case]:
    """Every shape in both dtypes with the loss over all outputs, and one with the loss on the last output."""
    if quick:
        return [_case((10, 4, 2, 8), "float64", "all"), _case((10, 4, 2, 8), "float32", "last")]
    found = [_case(shape, dtype, "all") for shape in SHAPES for dtype in ("float32", "float64")]
    return [*found, _case((100, 32, 2, 64), "float32", "last")]


def _case(shape: tuple[int, int, int, int], dtype: str, loss: str) -> Case:
    name = f"{','.join(map(str, shape))} {dtype[0]}{dtype[-2:]}" + (" last" if loss == "last" else "")
    return Case(name, dict(zip("TBIH", shape)) | {"loss": loss}, dtype, without=SHAPES.get(shape, ()))


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


def limit_builder(by_hand: ByHand, frames: Frames) -> Builder:
    """The derivative by hand, compiled once a dtype; what it keeps over time is allocated once a case."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        both = by_hand(case.dtype, case.loss == "last")
        space = [np.empty((steps, case.B, width), case.dtype) for steps, width in frames(case.T, case.H)]
        return lambda: both(*args, *space)

    return build


def suite(
    name: str,
    about: str,
    make: Any,
    by_hand: ByHand,
    frames: Frames,
    gates: int,
    biases: int,
    module: str,
    jax_tuned: Mapping[str, Any],
    quick: int,
) -> Suite:
    """A recurrent suite from its cell. `quick` says which of the quick cases it runs.

    `jax_tuned` are the options of JAX's scan that were fastest over most shapes. Taking the input product out of its
    loop as well was measured: it gained nothing at the small shapes and cost XLA up to 1.7 times as long at H = 256.
    """
    builders = numpy_like(make, range(2, 4 + biases))
    builders |= {"jax-tuned": tuned(builders["jax"], **jax_tuned), "torch": torch_builder(module, biases)}
    builders["limit"] = limit_builder(by_hand, frames)
    return Suite(name, about, lambda q: cases(q)[quick : quick + 1] if q else cases(q), inputs(gates, biases), builders)


def objective(xp: Any, case: Case, last: Any, outputs: Any, targets: Any) -> Any:
    """Mean square error of the last output or of all outputs."""
    return xp.mean(((last if case.loss == "last" else outputs) - targets) ** 2)
