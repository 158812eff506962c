"""What NumPy's functions do not do on tracers: options not followed, functions without a rule. Knows no rule."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np

from wengert.errors import MutationError, NoRuleError, at_user

_HARMLESS: dict[str, tuple[Any, ...]] = {
    "out": (), "where": (True, np._NoValue), "initial": (np._NoValue,), "casting": ("same_kind",), "mode": ("raise",),
    "subok": (True, False), "order": ("C", "K", "A"), "signature": (), "device": (), "copy": (True,),
}  # fmt: skip


def refuse_options(name: str, kwargs: dict[str, Any]) -> None:
    """Options that are not followed must not be ignored; harmless ones are dropped."""
    for option, harmless in _HARMLESS.items():
        if option in kwargs:
            given = kwargs[option] if option == "order" else kwargs.pop(option)
            if given is None or given is np._NoValue or (isinstance(given, bool | str) and given in harmless):
                continue
            if option == "out":
                raise MutationError(
                    at_user(
                        f"np.{name}(..., out=...) writes a traced result into an array in place; "
                        "use the returned value instead"
                    )
                )
            raise NoRuleError(at_user(f"np.{name}: the option {option}= is not supported on traced values"))


def no_rule(name: str, module: str, known: Iterable[Any]) -> NoRuleError:
    """The error for a NumPy function that cannot be recorded; `known` are those that can."""
    names = sorted({getattr(f, "__name__", "") for f in known} - {""})
    near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    hint = f" Near names that have one: {', '.join(near)}." if near else ""
    where = "np" if module == "numpy" else module.replace("numpy", "np")
    return NoRuleError(
        at_user(
            f"{where}.{name} has no derivative rule in wengert.{hint} Write it with functions that have one, "
            "or compute it outside the differentiated function and pass the result in"
        )
    )
