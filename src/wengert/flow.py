"""`gradient_flow`: how the adjoint of a loop's carry grows or shrinks from step to step, backwards through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert.errors import OptionError, at_user
from wengert.function import jit
from wengert.record.state import thread
from wengert.transform.grad import value_and_grad


def gradient_flow(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The norms of the adjoint of every loop's carry, step by step.

    For the carries h_1, ..., h_T of a `scan` inside `f` and the value L of `f`, the adjoint at step t is dL/dh_t,
    through all later steps and through ys. Where its norm shrinks to nothing towards the first steps, gradients
    vanish: the loop cannot learn what happened then. Where it grows, they explode.

    Parameters
    ----------
    f
        A function as `grad` takes it, with at least one `scan` at its outermost level, without `checkpoint`.
    argnums
        As in `grad`: what the loop must depend on.

    Returns
    -------
    callable
        With the arguments of `f`; recorded once and replayed afterwards, as by `jit`. Returns a list with an entry
        for each scan, in the order they are run: a list with, for each float leaf of the carry that the derivative
        reaches, the Euclidean norms as an array of shape (T,); entry t belongs to the carry after step t.

    Raises
    ------
    OptionError
        If `f` has no such scan.

    Notes
    -----
    S. Hochreiter, *Untersuchungen zu dynamischen neuronalen Netzen*, diploma thesis, TU Munich (1991). R. Pascanu,
    T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks*, ICML (2013).

    Examples
    --------
    >>> import numpy as np, wengert
    >>> last = lambda u: wengert.scan(lambda h, x: (u * h + x, None), 0.0, np.ones(4))[0]
    >>> wengert.gradient_flow(last)(0.5)[0][0].tolist()
    [0.125, 0.25, 0.5, 1.0]
    """
    slope = value_and_grad(f, argnums)

    def norms(*args: Any) -> Any:
        recorder = thread.active
        assert recorder is not None  # `jit` is recording
        before, recorder.flow = recorder.flow, []
        try:
            slope(*args)
            found = recorder.flow
        finally:
            recorder.flow = before
        if not found:
            raise OptionError(
                at_user("gradient_flow needs a function with a scan at its outermost level, without checkpoint")
            )
        return [[recorder.tracer(s) for s in scan] for scan in reversed(found)]

    return jit(norms)
