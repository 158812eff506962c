"""Rules of NumPy functions of numbers that are no ufunc of the table, or a second name of one. Knows no memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.ops.spec import BY_NAME, bind
from wengert.record.rules import rule, traced
from wengert.shapes import F64


@rule(np.sinc)
def _sinc(x: Any) -> Any:
    x = traced(x)
    return bind(BY_NAME["sinc"], (x if x.aval.is_float else x.astype(F64),))


@rule(np.radians)
def _radians(x: Any) -> Any:
    return np.deg2rad(traced(x))  # type: ignore[call-overload]


@rule(np.degrees)
def _degrees(x: Any) -> Any:
    return np.rad2deg(traced(x))  # type: ignore[call-overload]


@rule(np.divmod)
def _divmod(x1: Any, x2: Any) -> Any:
    return divmod(traced(x1), x2)
