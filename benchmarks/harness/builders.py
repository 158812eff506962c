"""From a function written once to what each peer times: value and gradient of that function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.model import Builder, Call, Case

Maker = Callable[[Any, Case], Callable[..., Any]]
"""From a NumPy-like namespace and a case to the function of the inputs."""


def numpy_like(make: Maker, wrt: Sequence[int], leave_out: Sequence[str] = ()) -> dict[str, Builder]:
    """wengert (with and without jit), JAX and autograd, for a function over a NumPy-like namespace `xp`."""
    argnums = tuple(wrt)

    def wengert(case: Case, args: tuple[Any, ...]) -> Call:
        import numpy as np

        import wengert

        f = wengert.jit(wengert.value_and_grad(make(np, case), argnums))
        return lambda: f(*args)

    def unjitted(case: Case, args: tuple[Any, ...]) -> Call:
        import numpy as np

        import wengert

        f = wengert.value_and_grad(make(np, case), argnums)
        return lambda: f(*args)

    def jax(case: Case, args: tuple[Any, ...]) -> Call:
        import jax
        import jax.numpy as jnp

        f = jax.jit(jax.value_and_grad(make(jnp, case), argnums))
        return lambda: f(*args)

    def autograd(case: Case, args: tuple[Any, ...]) -> Call:
        import autograd
        import autograd.numpy as anp

        both = autograd.value_and_grad(make(anp, case), argnums if len(argnums) > 1 else argnums[0])
        return lambda: both(*args)

    every = {"wengert": wengert, "unjitted": unjitted, "jax": jax, "autograd": autograd}
    return {name: builder for name, builder in every.items() if name not in leave_out}


def tuned(jax: Builder, **how: Any) -> Builder:
    """JAX's builder with options for its scan (`suites.idiom.scan`): what its experts try."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        call = jax(replace(case, params={**case.params, "scan_options": how}), args)
        note = ", ".join(name if value is True else f"{name} {value}" for name, value in how.items())
        return noted(call, note)

    return build


def noted(call: Call, note: str) -> Call:
    """The call with a note on how its peer computes it."""

    def same() -> Any:
        return call()

    same.note = note  # type: ignore[attr-defined]
    return same


def torch_like(make: Callable[[Case], Callable[..., Any]], wrt: Sequence[int]) -> dict[str, Builder]:
    """PyTorch eager, and torch.compile, for a function of tensors. Python floats to differentiate become 0-d."""

    def build(case: Case, args: tuple[Any, ...], compiled: bool) -> Call:
        import torch

        f = make(case)
        if compiled:
            f = torch.compile(f)
        full = list(args)
        dtype = getattr(torch, case.dtype)
        leaves = []
        for n in wrt:
            leaf = full[n] if isinstance(full[n], torch.Tensor) else torch.tensor(full[n], dtype=dtype)
            full[n] = leaf.detach().clone().requires_grad_()
            leaves.append(full[n])

        def call() -> Any:
            value = f(*full)
            return value, torch.autograd.grad(value, leaves)

        return call

    return {
        "torch": lambda case, args: build(case, args, False),
        "torch-compile": lambda case, args: build(case, args, True),
    }


def casadi_buffer(function: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Call:
    """A CasADi function called through its buffers, the fastest way that CasADi offers from Python."""
    buffer, evaluate = function.buffer()
    for k, array in enumerate(inputs):
        buffer.set_arg(k, memoryview(array))
    for k, array in enumerate(outputs):
        buffer.set_res(k, memoryview(array))

    def call() -> Any:
        evaluate()
        return outputs

    call.keep = (buffer, inputs)  # type: ignore[attr-defined]
    return call


def pytensor_call(variables: Sequence[Any], value: Any, wrt: Sequence[int], args: Sequence[Any]) -> Call:
    """A PyTensor function compiled in Numba mode, without input checks."""
    import pytensor

    slopes = pytensor.grad(value, [variables[n] for n in wrt])
    f = pytensor.function(list(variables), [value, *slopes], mode="NUMBA", on_unused_input="ignore")
    f.trust_input = True
    return lambda: f(*args)
