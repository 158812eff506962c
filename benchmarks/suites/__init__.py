"""One file a suite. `ORDER` is the order in which they run."""

from __future__ import annotations

import importlib
from typing import Any

ORDER = (
    "tiny", "rosen", "start", "chain", "logreg", "mlp", "rnn", "lstm", "gru", "ode", "gmm", "hvp", "xor",
    "memory", "scaling", "blackscholes", "hessian", "checkpoint", "lstm_adbench",
)  # fmt: skip
"""All suites."""

WAITING = {
    "blackscholes": ("option prices and their Greeks", "needs erf or norm.cdf, which wengert does not have yet"),
    "hessian": ("dense Hessians", "needs wengert.hessian, which is not built yet"),
    "checkpoint": ("BPTT with recomputation", "needs checkpointing, which is not built yet"),
    "lstm_adbench": ("ADBench's LSTM", "is not written yet"),
}
"""Suites that wait for a feature."""


def load(name: str) -> Any:
    """The suite of this name."""
    from harness.model import Missing

    if name in WAITING:
        return Missing(name, *WAITING[name])
    return importlib.import_module(f"suites.{name}").SUITE
