"""Do the peers compute the same thing? Compared before timing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def distance(a: Any, b: Any) -> float:
    """Largest |a - b| relative to the largest |b|; infinite for other shapes or for NaN in one of them."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        if a.size != b.size:
            return float("inf")
        a = a.reshape(b.shape)
    if not b.size:
        return 0.0
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return 0.0 if np.array_equal(a, b, equal_nan=True) else float("inf")
    scale = float(np.max(np.abs(b)))
    return float(np.max(np.abs(a - b))) / (scale if scale > 0 else 1.0)


def worst(a: Sequence[Any], b: Sequence[Any]) -> float:
    """The largest distance between two results; infinite where they have different parts."""
    return max(map(distance, a, b), default=0.0) if len(a) == len(b) else float("inf")


def disagreements(
    results: Mapping[str, Sequence[Any]], rtol: float, order: Sequence[str]
) -> tuple[str, dict[str, float], list[str]]:
    """The reference peer, each peer's distance from it, and a line for each that lies too far.

    The reference is the first of `order` that is there. Two results of different lengths disagree.
    """
    reference = next(name for name in order if name in results)
    wanted = results[reference]
    found: dict[str, float] = {}
    lines: list[str] = []
    for name, arrays in results.items():
        if name == reference:
            continue
        if len(arrays) != len(wanted):
            found[name] = float("inf")
            lines.append(f"{name} returned {len(arrays)} arrays, {reference} {len(wanted)}")
            continue
        each = [distance(a, b) for a, b in zip(arrays, wanted)]
        found[name] = max(each, default=0.0)
        if found[name] > rtol:
            worst = each.index(found[name])
            what = "the value" if worst == 0 else f"gradient {worst}"
            lines.append(f"{name} differs from {reference} in {what}: {found[name]:.2g} > {rtol:.0e}")
    return reference, found, lines
