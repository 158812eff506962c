"""Recurrent networks over time: layers, both directions, sequences of different lengths. Public API only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from wengert import scan, tree
from wengert.errors import DTypeError, IndexingError, ShapeError, at_user
from wengert.nn.cells import Params, gru_cell, gru_init, lstm_cell, lstm_init, rnn_cell, rnn_init
from wengert.nn.checks import array, recorded, shown, takes
from wengert.nn.module import Module, static

Cell = Callable[[Any, Any], tuple[Any, Any]]


def length_mask(lengths: Any, steps: int) -> Any:
    """Which steps belong to which sequence: `mask[t, k]` is true for t < lengths[k].

    Parameters
    ----------
    lengths
        Integers of shape (batch,), from 0 to `steps`.
    steps
        Steps of the longest that is possible: axis 0 of xs.

    Returns
    -------
    array
        Truth values of shape (steps, batch).

    Raises
    ------
    DTypeError
        If lengths are not integers.
    ShapeError
        If they have not one axis.
    IndexingError
        If one is negative or more than `steps` (unless values are not known yet, in a recording).

    Examples
    --------
    >>> from wengert import nn
    >>> nn.length_mask([2, 0, 3], 3).astype(int).tolist()
    [[1, 0, 1], [1, 0, 1], [0, 0, 1]]
    """
    lengths = array(lengths)
    if lengths.dtype.kind not in "iu":
        raise DTypeError(at_user(f"lengths must be integers; they are {shown(lengths)}"))
    if len(lengths.shape) != 1:
        raise ShapeError(at_user(f"lengths must have the shape (batch,); they are {shown(lengths)}"))
    if isinstance(lengths, np.ndarray) and ((lengths < 0) | (lengths > steps)).any():
        raise IndexingError(at_user(f"lengths must be from 0 to the {steps} steps of xs; they are {lengths.tolist()}"))
    return np.arange(steps)[:, None] < recorded(lengths)


def over_time(cell: Cell, carry: Any, xs: Any, lengths: Any = None, reverse: bool = False) -> tuple[Any, Any]:
    """A cell over time, for sequences of different lengths.

    `wengert.scan`, where sequences may end early: behind its end a sequence's carry is held and its outputs
    are 0. In reverse each sequence starts at its own end, from the first carry.

    Parameters
    ----------
    cell
        `carry, y = cell(carry, x)`; all leaves of carry and y have the batch as axis 0.
    carry
        The first one.
    xs
        (time, batch, n). What lies behind a sequence's end does not matter, not even NaN.
    lengths
        None if all are as long as xs; integers of shape (batch,), see `length_mask`; or truth values of
        shape (time, batch): at which steps the sequence goes on.
    reverse
        From the last step to the first; `ys[t]` still belongs to `xs[t]`.

    Returns
    -------
    carry, ys
        The last carry of each sequence, and the outputs stacked along axis 0.

    Raises
    ------
    ShapeError, DTypeError, IndexingError
        If lengths do not fit xs.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> add = lambda total, x: (total + x, total + x)
    >>> total, sums = nn.over_time(add, np.zeros((2, 1)), np.ones((3, 2, 1)), lengths=[2, 3])
    >>> total[:, 0].tolist(), sums[:, :, 0].tolist()
    ([2.0, 3.0], [[1.0, 1.0], [2.0, 2.0], [0.0, 3.0]])
    """
    if lengths is None:
        return scan(cell, carry, xs, reverse=reverse)
    xs = recorded(array(xs))
    mask = _mask(lengths, xs)
    xs = np.where(mask.reshape((*mask.shape, *(1 for _ in xs.shape[2:]))), xs, 0.0)

    def step(carry: Any, given: Any) -> tuple[Any, Any]:
        x, on = given
        new, y = cell(carry, x)

        def choose(a: Any, b: Any) -> Any:
            return np.where(on.reshape((*on.shape, *(1 for _ in a.shape[1:]))), a, b)

        return tree.map(choose, new, carry), tree.map(lambda y: choose(y, 0.0), y)

    return scan(step, carry, (xs, mask), reverse=reverse)


def _mask(lengths: Any, xs: Any) -> Any:
    lengths = array(lengths)
    mask = recorded(lengths) if lengths.dtype.kind == "b" else length_mask(lengths, xs.shape[0])
    if tuple(mask.shape) != tuple(xs.shape[:2]):
        raise ShapeError(
            at_user(
                f"lengths {shown(lengths)} do not fit xs of shape {tuple(xs.shape)}: integers of shape (batch,), "
                "or truth values of shape (time, batch)"
            )
        )
    return mask


class Recurrent(Module):
    """What RNN, LSTM and GRU share: layers, each with the parameters of one cell, or of two for both directions.

    `layers[k][0]` are the parameters of layer k forward in time, `layers[k][1]`, if there are any, backward.
    """

    layers: tuple[tuple[Params, ...], ...]

    def cell(self, params: Params) -> Cell:
        """The step with these parameters."""
        raise NotImplementedError

    def first_carry(self, params: Params, batch: int) -> Any:
        """Zeros."""
        return np.zeros((batch, params["u"].shape[0]), params["u"].dtype)

    def over_time(self, xs: Any, carry: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """The last carries and the outputs.

        Parameters
        ----------
        xs
            (time, batch, n_in).
        carry
            The first carries, `carry[layer][direction]`: h, for an LSTM (h, c), of shape (batch, hidden);
            None for zeros.
        lengths
            For sequences of different lengths; see `over_time`.

        Returns
        -------
        carry, ys
            As given, and outputs (time, batch, hidden); for both directions (time, batch, 2 hidden), forward
            first.

        Raises
        ------
        ShapeError, DTypeError, IndexingError
            If xs, carry or lengths do not fit; the message says which layer.
        """
        name = type(self).__name__
        w = self.layers[0][0]["w"]
        xs = takes(name, xs, ("time", "batch", w.shape[0]), w)
        first = tuple(tuple(self.first_carry(p, xs.shape[1]) for p in layer) for layer in self.layers)
        if carry is None:
            carry = first
        else:
            _same_carry(name, carry, first)
        if lengths is not None:
            lengths = _mask(lengths, xs)
        last = []
        for params, carries in zip(self.layers, carry, strict=True):
            found = [
                over_time(self.cell(p), c, xs, lengths, reverse=k == 1)
                for k, (p, c) in enumerate(zip(params, carries, strict=True))
            ]
            last.append(tuple(c for c, _ in found))
            xs = found[0][1] if len(found) == 1 else np.concatenate([y for _, y in found], axis=-1)
        return tuple(last), xs

    def __call__(self, xs: Any, lengths: Any = None) -> Any:
        """The outputs alone; see `over_time`."""
        return self.over_time(xs, lengths=lengths)[1]


def _same_carry(name: str, given: Any, wanted: Any) -> None:
    leaves, structure = tree.flatten(given)
    first, expected = tree.flatten(wanted)
    if structure != expected:
        raise ShapeError(
            at_user(
                f"{name} takes a first carry carry[layer][direction] of the structure {expected}, as over_time "
                f"returns it; it was given {structure}"
            )
        )
    for path, x, like in zip(tree.paths(wanted), leaves, first, strict=True):
        takes(f"{name}: the first carry{path}", x, like.shape, like)


def _stacked(
    init: Callable[..., Params], rng: np.random.Generator, n_in: int, hidden: int, layers: int, bidirectional: bool
) -> tuple[tuple[Params, ...], ...]:
    """New parameters for each layer and direction."""
    if layers < 1:
        raise ValueError(f"a recurrent network has at least one layer, not {layers}")
    directions = 2 if bidirectional else 1
    widths = [n_in] + [directions * hidden] * (layers - 1)
    return tuple(tuple(init(rng, n, hidden) for _ in range(directions)) for n in widths)


class RNN(Recurrent):
    """An Elman network: `rnn_cell` over time, in one or more layers, in one or both directions.

    Parameters
    ----------
    layers
        `layers[k][direction]` from `rnn_init`.
    activation
        `np.tanh`, `nn.relu` or another function.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> model = nn.RNN.init(np.random.default_rng(0), 2, 8, activation=nn.relu)
    >>> model(np.zeros((5, 3, 2), np.float32)).shape
    (5, 3, 8)
    """

    activation: Callable[[Any], Any] = static(default=np.tanh)

    @classmethod
    def init(
        cls, rng: np.random.Generator, n_in: int, hidden: int, *, layers: int = 1, bidirectional: bool = False,
        activation: Callable[[Any], Any] = np.tanh, bias: bool = True, dtype: Any = np.float32,
    ) -> RNN:  # fmt: skip
        """A new network.

        Parameters
        ----------
        rng
            Source of the random weights.
        n_in, hidden
            Sizes of input and state.
        layers
            How many, each on the outputs of the one before.
        bidirectional
            Whether each layer goes through time in both directions, with weights of its own for each.
        activation
            As for `rnn_cell`.
        bias, dtype
            As for `rnn_init`.

        Raises
        ------
        ValueError
            If there is not at least one layer.
        """
        make = partial(rnn_init, bias=bias, dtype=dtype)
        return cls(_stacked(make, rng, n_in, hidden, layers, bidirectional), activation)

    def cell(self, params: Params) -> Cell:
        return lambda carry, x: rnn_cell(params, carry, x, self.activation)


class LSTM(Recurrent):
    """A long short-term memory: `lstm_cell` over time, in one or more layers, in one or both directions.

    Parameters
    ----------
    layers
        `layers[k][direction]` from `lstm_init`.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> model = nn.LSTM.init(np.random.default_rng(0), 2, 8, layers=2, bidirectional=True)
    >>> carry, ys = model.over_time(np.zeros((5, 3, 2), np.float32), lengths=[5, 2, 4])
    >>> ys.shape
    (5, 3, 16)
    >>> h, c = carry[1][0]      # after layer 1, forward
    >>> h.shape
    (3, 8)
    """

    @classmethod
    def init(
        cls, rng: np.random.Generator, n_in: int, hidden: int, *, layers: int = 1, bidirectional: bool = False,
        bias: bool = True, forget_bias: float = 1.0, peepholes: bool = False, dtype: Any = np.float32,
    ) -> LSTM:  # fmt: skip
        """A new network.

        Parameters
        ----------
        rng
            Source of the random weights.
        n_in, hidden
            Sizes of input and state.
        layers
            How many, each on the outputs of the one before.
        bidirectional
            Whether each layer goes through time in both directions, with weights of its own for each.
        bias, forget_bias, peepholes, dtype
            As for `lstm_init`.

        Raises
        ------
        ValueError
            If there is not at least one layer.
        """
        make = partial(lstm_init, bias=bias, forget_bias=forget_bias, peepholes=peepholes, dtype=dtype)
        return cls(_stacked(make, rng, n_in, hidden, layers, bidirectional))

    def cell(self, params: Params) -> Cell:
        return lambda carry, x: lstm_cell(params, carry, x)

    def first_carry(self, params: Params, batch: int) -> Any:
        zeros = super().first_carry(params, batch)
        return zeros, zeros


class GRU(Recurrent):
    """Gated recurrent units: `gru_cell` over time, in one or more layers, in one or both directions.

    Parameters
    ----------
    layers
        `layers[k][direction]` from `gru_init`.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> model = nn.GRU.init(np.random.default_rng(0), 2, 8, reset_after=False)
    >>> model(np.zeros((5, 3, 2), np.float32)).shape
    (5, 3, 8)
    """

    @classmethod
    def init(
        cls, rng: np.random.Generator, n_in: int, hidden: int, *, layers: int = 1, bidirectional: bool = False,
        bias: bool = True, reset_after: bool = True, dtype: Any = np.float32,
    ) -> GRU:  # fmt: skip
        """A new network.

        Parameters
        ----------
        rng
            Source of the random weights.
        n_in, hidden
            Sizes of input and state.
        layers
            How many, each on the outputs of the one before.
        bidirectional
            Whether each layer goes through time in both directions, with weights of its own for each.
        bias, reset_after, dtype
            As for `gru_init`.

        Raises
        ------
        ValueError
            If there is not at least one layer.
        """
        make = partial(gru_init, bias=bias, reset_after=reset_after, dtype=dtype)
        return cls(_stacked(make, rng, n_in, hidden, layers, bidirectional))

    def cell(self, params: Params) -> Cell:
        return lambda carry, x: gru_cell(params, carry, x)
