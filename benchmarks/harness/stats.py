"""Arithmetic of the tables: medians, quartiles, ratios, break-even calls, fitted exponents. No timing here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median with its quartiles."""

    median: float
    q1: float
    q3: float


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles of the samples (linear interpolation, both ends included)."""
    if not samples:
        raise ValueError("no samples")
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    q1, median, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, q1, q3)


def ratio(new: Spread, old: Spread) -> Spread:
    """new / old; the quartiles of the ratio are its extremes over both boxes."""
    return Spread(new.median / old.median, new.q1 / old.q3, new.q3 / old.q1)


def verdict(change: Spread, least: float = 0.1) -> str:
    """ "slower" or "faster" where the whole spread lies beyond 1 and the median by `least`; else ""."""
    if change.q1 > 1 and change.median > 1 + least:
        return "slower"
    if change.q3 < 1 and change.median < 1 - least:
        return "faster"
    return ""


def break_even(ours_first: float, ours: float, theirs_first: float, theirs: float) -> str:
    """From how many calls on who has spent less time altogether, the first call included.

    "always" / "never": we are ahead (behind) for any number of calls. "to N": ahead up to N calls.
    "from N": ahead from N calls on.
    """
    start, slope = theirs_first - ours_first, theirs - ours
    if start >= 0 and slope >= 0:
        return "always"
    if start <= 0 and slope <= 0:
        return "never"
    calls = -start / slope
    if start > 0:
        return f"to {math.floor(calls) + 1}"
    return f"from {math.ceil(calls) + 1}"


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Least-squares slope of log(time) against log(size)."""
    if len(sizes) < 2 or len(sizes) != len(times):
        raise ValueError("an exponent needs two sizes or more, and a time for each")
    x, y = [math.log(s) for s in sizes], [math.log(t) for t in times]
    return statistics.linear_regression(x, y).slope


def rounds_for(seconds: float, rounds: int, budget: float, least: int) -> int:
    """How many rounds fit into the budget when a turn takes `seconds`."""
    if seconds <= 0:
        return rounds
    return max(least, min(rounds, int(budget / seconds)))


def steady(samples: Sequence[float], within: float, least: int = 5) -> bool:
    """Whether there are `least` samples and their quartiles lie within so small a part of the median."""
    if len(samples) < least:
        return False
    found = spread(samples)
    return found.q3 - found.q1 <= within * found.median


def in_words(seconds: float | None, digits: int = 3) -> str:
    """A time with its unit: 1.23 us."""
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale:
            return f"{round_to(seconds / scale, digits)} {unit}"
    return f"{round_to(seconds / 1e-9, digits)} ns"


def round_to(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}"
    return text if places or abs(value) < 10**digits else f"{round(value, digits - len(str(int(abs(value))))):.0f}"
