"""Runs a function once by recording it: for what cannot be computed by NumPy alone, outside any recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wengert import tree
from wengert.plan.cache import program_of
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.vm.replay import run_once


def evaluate(f: Callable[..., Any], name: str, *args: Any) -> Any:
    """`f(*args)`, recorded and replayed at once."""
    leaves, structure = tree.flatten(args)
    recorder = Recorder(name=name)
    with recording(recorder):
        out = f(*tree.unflatten(structure, [recorder.argument(x) for x in leaves]))
        results, shape = tree.flatten(out)
        tape = recorder.tape([recorder.slot(x) for x in results])
        inputs = [recorder.values[s] for s in tape.inputs]
        consts, arrays = [c.value for c in tape.consts], [c.array for c in tape.captured]
        found = run_once(program_of(tape), inputs, consts, arrays)
    return tree.unflatten(shape, found)
