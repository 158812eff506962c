"""One file a suite. `ORDER` is the order in which they run."""

from __future__ import annotations

import importlib
from typing import Any

ORDER = (
    "tiny", "eager", "rosen", "start", "chain", "blackscholes", "logreg", "mlp", "gmm", "hvp", "hessian", "ode", "rnn",
    "lstm", "gru", "lstm_adbench", "xor", "memory", "scaling",
)  # fmt: skip
"""All suites."""


def load(name: str) -> Any:
    """The suite of this name."""
    return importlib.import_module(f"suites.{name}").SUITE
