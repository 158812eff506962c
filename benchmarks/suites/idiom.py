"""Functions that each library's users have by another name, or write themselves. `xp` is their namespace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from harness.model import Case

Unary = Callable[[Any], Any]


def _named(xp: Any, places: dict[str, str]) -> Any:
    """The function at `module:name` for this namespace."""
    module, _, name = places[xp.__name__].partition(":")
    return getattr(import_module(module), name)


def sigmoid(xp: Any) -> Unary:
    """The logistic function."""
    places = {"numpy": "scipy.special:expit", "jax.numpy": "jax.nn:sigmoid", "torch": "torch:sigmoid",
              "autograd.numpy": "autograd.scipy.special:expit"}  # fmt: skip
    found: Unary = _named(xp, places)
    return found


def ndtr(xp: Any) -> Unary:
    """The normal distribution function."""
    places = {"numpy": "scipy.special:ndtr", "jax.numpy": "jax.scipy.special:ndtr", "torch": "torch.special:ndtr",
              "autograd.numpy": "autograd.scipy.special:erf"}  # fmt: skip
    found: Unary = _named(xp, places)
    if xp.__name__ == "autograd.numpy":  # has no ndtr; its norm.cdf checks arguments at great length
        return lambda x: 0.5 + 0.5 * found(x * 0.5**0.5)
    return found


def logsumexp(xp: Any) -> Callable[[Any, int], Any]:
    """log(sum(exp(x))) over one axis."""
    places = {"jax.numpy": "jax.scipy.special:logsumexp", "torch": "torch:logsumexp",
              "autograd.numpy": "autograd.scipy.special:logsumexp"}  # fmt: skip
    if xp.__name__ in places:
        found: Callable[[Any, int], Any] = _named(xp, places)
        return found

    def by_hand(x: Any, axis: int) -> Any:
        top = xp.max(x, axis=axis, keepdims=True)
        return xp.squeeze(top, axis) + xp.log(xp.sum(xp.exp(x - top), axis=axis))

    return by_hand


def scan(xp: Any, case: Case) -> Callable[..., Any]:
    """The loop over time.

    JAX's has two options that its experts try: `unroll`, and `recompute`, where the step is under `jax.checkpoint`:
    only the carry is kept, and small steps become one kernel each. Both were tried for every suite; where one of
    them helps, the hand-tuned version has it.
    """
    if xp.__name__ == "jax.numpy":
        jax = import_module("jax")
        options = case.params.get("scan_options", {})
        loop = partial(jax.lax.scan, unroll=options.get("unroll", 1))
        if options.get("recompute"):
            return lambda step, *rest, **more: loop(jax.checkpoint(step), *rest, **more)
        return loop
    if xp.__name__ == "numpy":
        found: Callable[..., Any] = import_module("wengert").scan
        return found

    def loop(step: Any, carry: Any, xs: Any) -> Any:
        ys = []
        for t in range(len(xs)):
            carry, y = step(carry, xs[t])
            ys.append(y)
        return carry, xp.stack(ys)

    return loop
