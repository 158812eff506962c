"""What a loop's gradient keeps: checkpointing in segments, budgets of memory, truncation. Knows no adjoint."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wengert import tree
from wengert.errors import OptionError, at_user
from wengert.ops.elementwise import CUT
from wengert.ops.spec import bind
from wengert.record.state import thread
from wengert.record.tracer import Tracer

Step = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Binomial:
    """A number of carries to keep; the rest of a loop is computed again, with the fewest forward steps possible.

    Parameters
    ----------
    snapshots
        How many carries are kept at most, at least 1.
    segment
        Steps that are reversed together, with all their values kept, and between which carries may be stored. By
        default about as many as make one extra forward pass enough, but never more than `snapshots`. With
        `segment=1` single steps are reversed, as in the paper.

    Notes
    -----
    A. Griewank & A. Walther, *Algorithm 799: revolve*, ACM TOMS 26 (2000).

    Examples
    --------
    >>> import numpy as np, wengert
    >>> def last(u, xs, **options):
    ...     return wengert.scan(lambda h, x: (np.tanh(u * h + x), None), 0.0, xs, **options)[0]
    >>> xs = np.sin(np.arange(50.0))
    >>> kept = wengert.grad(last)(0.5, xs)
    >>> again = wengert.grad(lambda u, xs: last(u, xs, checkpoint=wengert.Binomial(4)))(0.5, xs)
    >>> bool(np.isclose(kept, again, rtol=1e-12))
    True
    """

    snapshots: int
    segment: int | None = None

    def __post_init__(self) -> None:
        for name in ("snapshots", "segment"):
            value = getattr(self, name)
            if not (_is_whole(value) and value >= 1) and not (name == "segment" and value is None):
                raise OptionError(at_user(f"Binomial: {name} must be a whole number of at least 1, not {value!r}"))


class Segments(NamedTuple):
    """So many steps at a time, of which so many carries are kept."""

    steps: int
    snapshots: int


def choose(checkpoint: Any, memory: Any, steps: int, sizes: Callable[[], tuple[int, int]]) -> Segments | None:
    """The segments that were asked for; None where everything is to be kept.

    `sizes` gives the bytes of a carry and of all that a step's adjoint needs.
    """
    if checkpoint is not None and memory is not None:
        raise OptionError(at_user("scan: give either checkpoint or memory, not both"))
    if memory is not None:
        return _within(_budget(memory), steps, *sizes())
    if isinstance(checkpoint, Binomial):
        length = checkpoint.segment or min(checkpoint.snapshots, math.ceil(steps / checkpoint.snapshots))
        return Segments(max(1, min(length, steps)), checkpoint.snapshots)
    if isinstance(checkpoint, str) and checkpoint == "sqrt":
        return _every(_near_root(steps), steps)
    if _is_whole(checkpoint) and checkpoint >= 1:
        return _every(int(checkpoint), steps)
    raise OptionError(
        at_user(f'scan: checkpoint must be None, "sqrt", a number of steps or wengert.Binomial, not {checkpoint!r}')
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _every(length: int, steps: int) -> Segments:
    length = max(1, min(length, steps))
    return Segments(length, max(1, steps // length))


def _near_root(steps: int) -> int:
    """A length near the square root, if possible one of which the steps are a multiple."""
    root = max(1, math.isqrt(steps))
    fits = [k for k in range(max(1, root * 2 // 3), root * 3 // 2 + 1) if steps % k == 0]
    return min(fits, key=lambda k: abs(k - root), default=root)


def _within(budget: int, steps: int, carry: int, step: int) -> Segments | None:
    """The cheapest way that keeps no more than so many bytes."""
    if steps * step <= budget:
        return None
    # Segments of k steps keep k * step + (steps / k) * carry, least at the root of steps * carry / step.
    best = max(1, min(steps, round(math.sqrt(steps * carry / max(step, 1)))))
    if best * step + math.ceil(steps / best) * carry <= budget:
        return _every(best, steps)
    length = max(1, budget // (2 * step)) if step else 1
    snapshots = (budget - length * step) // carry if carry else steps
    if snapshots < 2:
        raise OptionError(
            at_user(
                f"scan: the gradient of this loop needs {step} bytes for a step and {carry} for a carry; at least "
                f"{step + 2 * carry} bytes must be allowed, not {budget}"
            )
        )
    return Segments(length, snapshots)


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def _budget(memory: Any) -> int:
    """Bytes, from a number of them or text such as "200 MB"."""
    if _is_whole(memory) and memory > 0:
        return int(memory)
    found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*)\s*([a-zA-Z]*)\s*", memory) if isinstance(memory, str) else None
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or float(found[1]) == 0:
        raise OptionError(at_user(f'scan: memory must be a number of bytes or text like "200 MB", not {memory!r}'))
    return int(float(found[1]) * unit)


def in_segments(
    record: Callable[..., tuple[Any, Any]], f: Step, init: Any, xs: Any, steps: int, reverse: bool, chosen: Segments
) -> tuple[Any, Any]:
    """A loop over segments of the loop. Steps that do not fill a segment come first, with all values kept."""
    recorder = thread.active
    assert recorder is not None
    length = chosen.steps
    count = steps // length
    rest = steps - count * length
    whole = tree.map(recorder.operand, xs)

    def segment(carry: Any, xs: Any) -> tuple[Any, Any]:
        return record(f, carry, xs, length, reverse)

    carry, first_ys, main = init, None, whole
    if rest:
        cut = count * length if reverse else rest
        early, late = tree.map(lambda x: x[:cut], whole), tree.map(lambda x: x[cut:], whole)
        first, main = (late, early) if reverse else (early, late)
        carry, first_ys = record(f, init, first, rest, reverse)
    main = tree.map(lambda x: np.reshape(x, (count, length, *x.shape[1:])), main)
    carry, ys = record(segment, carry, main, count, reverse, snapshots=min(chosen.snapshots, count))
    ys = tree.map(lambda y: np.reshape(y, (count * length, *y.shape[2:])), ys)
    if rest:
        parts = (ys, first_ys) if reverse else (first_ys, ys)
        ys = tree.map(lambda a, b: np.concatenate([a, b]), *parts)
    return carry, ys


def truncated(f: Step, xs: Any, steps: int, window: Any, reverse: bool) -> tuple[Step, Any]:
    """The step whose carry is cut off from the steps before wherever a window begins, and its xs."""
    if not (_is_whole(window) and window >= 1):
        raise OptionError(at_user(f"scan: truncate must be a whole number of at least 1, not {window!r}"))
    order = np.arange(steps)
    begins = (order % window == 0) & (order > 0)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        begin, x = x
        return f(tree.map(lambda c: _cut_off(begin, c), carry), x)

    return step, (begins[::-1] if reverse else begins, xs)


def _cut_off(begin: Any, c: Any) -> Any:
    """The carry without its past where `begin` is true; a carry that has no derivative as it is."""
    recorder = thread.active
    assert recorder is not None
    operand = recorder.operand(c)
    if not operand.aval.is_float:
        return c
    cut = bind(CUT, (begin, operand))
    return Tracer(cut.recorder, cut.slot, cut.aval, operand.kind)  # a Python number stays one
