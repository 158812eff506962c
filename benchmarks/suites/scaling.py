"""scaling: time against steps, batch and width of the RNN, and against n of Rosenbrock's function; exponents.

An exponent of 1 in T means that a step costs the same however many there are.
"""

from __future__ import annotations

from typing import Any

from harness.model import Builder, Call, Case, Suite

from suites import rnn, rosen

BASE = {"T": 50, "B": 8, "I": 4, "H": 32}
SWEEPS = {"T": (100, 1000, 10_000, 100_000), "B": (1, 8, 64, 512), "H": (16, 64, 256)}
LONGEST = 100_000
"""Steps that only wengert and the derivative by hand are asked to go."""
PEERS = ("wengert", "jax", "torch", "limit")


def cases(quick: bool) -> list[Case]:
    found = []
    for key, values in ({} if quick else SWEEPS).items():
        for v in values:
            params = BASE | {key: v, "loss": "all", "of": "rnn"}
            without = ("jax", "torch") if params["T"] == LONGEST else ()
            found.append(Case(f"rnn {key}={v}", params, "float64", sweep=f"rnn {key}", without=without))
    for n in (100,) if quick else (1000, 10_000, 100_000, 1_000_000):
        found.append(Case(f"rosen n={n}", {"n": n, "loop": False, "of": "rosen"}, sweep="rosen n"))
    return found


def _suite(case: Case) -> Suite:
    return rnn.SUITE if case.of == "rnn" else rosen.SUITE


def inputs(case: Case) -> tuple[Any, ...]:
    return _suite(case).inputs(case)


def _builder(peer: str) -> Builder:
    def build(case: Case, args: tuple[Any, ...]) -> Call:
        return _suite(case).builders[peer](case, args)

    return build


SUITE = Suite("scaling", __doc__, cases, inputs, {peer: _builder(peer) for peer in PEERS})
