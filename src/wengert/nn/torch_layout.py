"""Recurrent weights in PyTorch's names and layout. Knows NumPy arrays only, not PyTorch.

PyTorch keeps matrices as (out, in), we as (in, out). It has two biases where one would do: they are added,
but for the candidate of a GRU, whose second one is our c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from wengert.errors import DTypeError, ShapeError, at_user
from wengert.nn.cells import Params
from wengert.nn.recurrent import GRU, LSTM, RNN, Recurrent

_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
_WEIGHTS, _BIASES = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")


def _suffix(layer: int, direction: int) -> str:
    return f"_l{layer}" + ("_reverse" if direction else "")


def from_torch(
    state: Mapping[str, Any], kind: str, *, prefix: str = "", activation: Callable[[Any], Any] = np.tanh
) -> RNN | LSTM | GRU:
    """A network from the weights of `torch.nn.RNN`, `LSTM` or `GRU`, with any layers and directions.

    Parameters
    ----------
    state
        The module's `state_dict()`, or NumPy arrays under PyTorch's names (weight_ih_l0, weight_hh_l0,
        bias_ih_l0, bias_hh_l0, ... `_reverse`).
    kind
        "rnn", "lstm" or "gru": which module they are of.
    prefix
        What stands before those names in the state of a larger module, such as "encoder."; others are left out.
    activation
        Of an RNN: its `nonlinearity` is not part of the state.

    Returns
    -------
    RNN, LSTM or GRU
        In the dtype of the weights; arrays of its own.

    Raises
    ------
    ValueError
        If the kind is unknown, a name is missing, or one is left over (such as a projection).
    ShapeError, DTypeError
        If an array has not the shape or dtype that the others call for.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> model = nn.LSTM.init(np.random.default_rng(0), 2, 8)
    >>> state = nn.to_torch(model)
    >>> {name: w.shape for name, w in state.items()}
    {'weight_ih_l0': (32, 2), 'weight_hh_l0': (32, 8), 'bias_ih_l0': (32,), 'bias_hh_l0': (32,)}
    >>> nn.from_torch(state, "lstm")
    LSTM(layers=(({'w': float32(2, 32), 'u': float32(8, 32), 'b': float32(32,)},),))
    """
    if kind not in _GATES:
        raise ValueError(f"from_torch: kind is one of {', '.join(_GATES)}, not {kind!r}")
    arrays = {k.removeprefix(prefix): np.asarray(v) for k, v in state.items() if k.startswith(prefix)}
    depth = sum(1 for k in arrays if k.startswith("weight_ih_l") and not k.endswith("_reverse"))
    directions = 2 if "weight_ih_l0_reverse" in arrays else 1
    parts = (*_WEIGHTS, *(_BIASES if "bias_ih_l0" in arrays else ()))
    places = [(layer, d) for layer in range(max(depth, 1)) for d in range(directions)]
    _same_names(arrays, {part + _suffix(*place) for place in places for part in parts})
    hidden = arrays["weight_hh_l0"].shape[-1]
    like = arrays["weight_ih_l0"]
    layers: list[list[Params]] = [[] for _ in range(depth)]
    for layer, d in places:
        n_in = like.shape[-1] if layer == 0 else directions * hidden
        given = [arrays[part + _suffix(layer, d)] for part in parts]
        wide = _GATES[kind] * hidden
        for part, x, shape in zip(parts, given, ((wide, n_in), (wide, hidden), (wide,), (wide,)), strict=False):
            _check(f"from_torch: {prefix}{part}{_suffix(layer, d)} of a {kind} takes", x, shape, like.dtype)
        layers[layer].append(_ours(kind, hidden, *given))
    found = tuple(map(tuple, layers))
    return RNN(found, activation) if kind == "rnn" else LSTM(found) if kind == "lstm" else GRU(found)


def _same_names(found: Iterable[str], wanted: set[str]) -> None:
    missing, surplus = wanted - set(found), set(found) - wanted
    if missing:
        raise ValueError(
            f"from_torch: missing are {', '.join(sorted(missing))}; given are {', '.join(found) or 'none'}"
        )
    if surplus:
        raise ValueError(
            f"from_torch: {', '.join(sorted(surplus))} have no place here; give a prefix, or leave them out"
        )


def _check(what: str, x: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if x.shape != shape:
        raise ShapeError(at_user(f"{what} {shape}; it was given {x.shape}"))
    if x.dtype != dtype or dtype.kind != "f":
        raise DTypeError(at_user(f"{what} floats of one dtype; it was given {x.dtype} beside {dtype}"))


def _ours(kind: str, hidden: int, w: Any, u: Any, b: Any = None, c: Any = None) -> Params:
    """One cell's parameters from PyTorch's arrays."""
    params: Params = {"w": w.T.copy(), "u": u.T.copy(), "b": None if b is None else b + c}
    if kind == "gru":
        if b is not None:
            params["b"][2 * hidden :] = b[2 * hidden :]
        params["c"] = None if c is None else c[2 * hidden :].copy()
    return params


def to_torch(model: Recurrent) -> dict[str, Any]:
    """Weights under PyTorch's names and in its layout, for `load_state_dict`.

    Parameters
    ----------
    model
        `RNN`, `LSTM` without peepholes, or `GRU` made with `reset_after`.

    Returns
    -------
    dict
        NumPy arrays; `bias_hh` is 0 where one bias would do. `from_torch` gives back the same model.

    Raises
    ------
    ValueError
        For a cell that PyTorch does not have.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> model = nn.GRU.init(np.random.default_rng(0), 2, 8)
    >>> nn.to_torch(model)["weight_ih_l0"].shape
    (24, 2)
    """
    if not isinstance(model, RNN | LSTM | GRU):
        raise ValueError(f"to_torch takes an RNN, LSTM or GRU, not a {type(model).__name__}")
    state: dict[str, Any] = {}
    for layer, params in enumerate(model.layers):
        for d, p in enumerate(params):
            if p.get("p") is not None:
                raise ValueError("to_torch: PyTorch has no LSTM with peepholes")
            if isinstance(model, GRU) and "c" not in p:
                raise ValueError("to_torch: PyTorch has no GRU whose reset gate acts before the recurrent product")
            suffix = _suffix(layer, d)
            arrays = [p["w"].T.copy(), p["u"].T.copy()]
            if p["b"] is not None:
                second = np.zeros_like(p["b"])
                if isinstance(model, GRU):
                    second[2 * p["u"].shape[0] :] = p["c"]
                arrays += [p["b"].copy(), second]
            state |= {part + suffix: x for part, x in zip((*_WEIGHTS, *_BIASES), arrays, strict=False)}
    return state
