"""Layers without time, and their composition. Public API and NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import record, tree
from wengert.errors import DTypeError, IndexingError, ShapeError, at_user
from wengert.nn.checks import array, recorded, takes, whole_numbers, within
from wengert.nn.dropout import Dropout, refuse_recording
from wengert.nn.initialisers import glorot_uniform
from wengert.nn.module import Module, static

Init = Callable[..., Any]


class Dense(Module):
    """x W + b on the last axis.

    Parameters
    ----------
    w
        (n_in, n_out).
    b
        (n_out,), or None for none.

    Raises
    ------
    ShapeError, DTypeError
        When called, if x is not (..., n_in) of the weights' dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> layer = nn.Dense.init(np.random.default_rng(0), 2, 3)
    >>> layer(np.zeros((5, 2), np.float32)).shape
    (5, 3)
    """

    w: Any
    b: Any = None

    @classmethod
    def init(
        cls, rng: np.random.Generator, n_in: int, n_out: int, *, bias: bool = True,
        weights: Init = glorot_uniform, dtype: Any = np.float32,
    ) -> Dense:  # fmt: skip
        """A new layer with random weights and biases of 0.

        Parameters
        ----------
        rng
            Source of the random weights.
        n_in, n_out
            Widths of what comes in and goes out.
        bias
            Whether there is a bias.
        weights
            The initialiser, `weights(rng, (n_in, n_out), dtype)`; before `nn.relu` take `nn.he_normal`.
        dtype
            float32 or float64.
        """
        return cls(weights(rng, (n_in, n_out), dtype), np.zeros(n_out, dtype) if bias else None)

    def __call__(self, x: Any) -> Any:
        x = takes("Dense", x, ("...", self.w.shape[0]), self.w)
        return x @ self.w if self.b is None else x @ self.w + self.b


class Embedding(Module):
    """One row of a table for each whole number.

    Parameters
    ----------
    table
        (count, n).

    Raises
    ------
    DTypeError, IndexingError
        When called, if ids are not integers from 0 to count - 1; in a recording, when it is replayed.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> letters = nn.Embedding.init(np.random.default_rng(0), 26, 8)
    >>> letters(np.array([[0, 25], [3, 3]])).shape
    (2, 2, 8)
    """

    table: Any

    @classmethod
    def init(cls, rng: np.random.Generator, count: int, n: int, *, dtype: Any = np.float32) -> Embedding:
        """A new table of `count` rows of n standard normal numbers, as in PyTorch."""
        return cls(rng.normal(size=(count, n)).astype(dtype))

    def __call__(self, ids: Any) -> Any:
        ids = whole_numbers("Embedding: ids", ids)
        return recorded(self.table)[within("Embedding: ids", ids, self.table.shape[0])]


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) over the last axis, times `scale`, plus `shift`.

    Parameters
    ----------
    scale, shift
        (n,).
    eps
        What keeps the root away from 0.

    Raises
    ------
    ShapeError, DTypeError
        When called, if x is not (..., n) of the parameters' dtype.

    Notes
    -----
    J. L. Ba, J. R. Kiros and G. E. Hinton, *Layer normalization*, arXiv:1607.06450 (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.LayerNorm.init(2, dtype=np.float64)(np.array([1.0, 3.0])).round(4).tolist()
    [-1.0, 1.0]
    """

    scale: Any
    shift: Any
    eps: float = static(default=1e-5)

    @classmethod
    def init(cls, n: int, *, eps: float = 1e-5, dtype: Any = np.float32) -> LayerNorm:
        """A new layer for a last axis of length n: scale 1, shift 0."""
        return cls(np.ones(n, dtype), np.zeros(n, dtype), eps)

    def __call__(self, x: Any) -> Any:
        x = takes("LayerNorm", x, ("...", self.scale.shape[0]), self.scale)
        centred = x - np.mean(x, axis=-1, keepdims=True)
        variance = np.mean(np.square(centred), axis=-1, keepdims=True)
        return centred / np.sqrt(variance + self.eps) * self.scale + self.shift


class Function(Module):
    """A plain function as a layer, such as `nn.relu`; `Sequential` makes them by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.Function(np.square)
    Function(f=square)
    """

    f: Callable[[Any], Any] = static()

    def __call__(self, x: Any) -> Any:
        return self.f(x)


class Sequential(Module):
    """Layers one behind another.

    Parameters
    ----------
    layers
        Modules, and plain functions such as `nn.relu`.

    Raises
    ------
    ShapeError, DTypeError, IndexingError
        When called; the message says which layer it was, what came in and what it takes.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> rng = np.random.default_rng(0)
    >>> model = nn.Sequential([nn.Dense.init(rng, 4, 16), nn.relu, nn.Dropout(0.2), nn.Dense.init(rng, 16, 3)])
    >>> print(model)
    layer         kind               arrays         parameters
    ──────────────────────────────────────────────────────────
    model         Sequential                               131
      layers[0]   Dense              w 4×16, b 16           80
      layers[1]   Function f=relu
      layers[2]   Dropout rate=0.2
      layers[3]   Dense              w 16×3, b 3            51
    total                            float32               131

    For training, masks are drawn for every dropout in it, and given as an argument:

    >>> x = np.ones((8, 4), np.float32)
    >>> model(x, model.masks(rng, x)).shape
    (8, 3)
    """

    layers: tuple[Any, ...]

    def __post_init__(self) -> None:
        wrapped = tuple(x if isinstance(x, Module) else Function(x) for x in self.layers)
        object.__setattr__(self, "layers", wrapped)

    def __call__(self, x: Any, masks: Any = None) -> Any:
        """The last layer's result; with `masks`, from the method of that name, dropout is on."""
        if masks is None:
            masks = (None,) * len(self.layers)
        if not isinstance(masks, tuple) or len(masks) != len(self.layers):
            raise ShapeError(at_user("Sequential: masks must come from the method masks of this very model"))
        for k, mask in enumerate(masks):
            x = self._applied(k, x, mask)
        return x

    def masks(self, rng: np.random.Generator, x: Any) -> Any:
        """Masks for all dropouts inside, drawn now.

        Parameters
        ----------
        rng
            Source of the random numbers.
        x
            What the model will be called with; its shape matters, its values do not.

        Returns
        -------
        tuple
            One entry a layer: an array of truth values for `Dropout`, a tuple for `Sequential`, else None.

        Raises
        ------
        WengertError
            Inside a function that is being recorded.

        Notes
        -----
        The model is recorded, not run, to learn the shapes. In a tight loop draw with `Dropout.mask`.
        """
        refuse_recording()
        tape = record(lambda x: self._dropped(x)[1], array(x))
        shapes = tree.unflatten(tape.out_structure, [_Shape(tape.avals[s].shape) for s in tape.outputs])
        return self._drawn(rng, shapes)

    def _applied(self, k: int, x: Any, mask: Any = None) -> Any:
        layer = self.layers[k]
        try:
            return layer(x) if mask is None else layer(x, mask)
        except (ShapeError, DTypeError, IndexingError) as error:
            raise type(error)(f"layer {k} of Sequential: {error}") from error

    def _dropped(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        """The result, and for each layer what a dropout in it was given."""
        given: list[Any] = []
        for k, layer in enumerate(self.layers):
            if isinstance(layer, Sequential):
                x, inner = layer._dropped(x)
                given.append(inner)
            else:
                given.append(x if isinstance(layer, Dropout) else None)
                x = self._applied(k, x)
        return x, tuple(given)

    def _drawn(self, rng: np.random.Generator, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        found: list[Any] = []
        for layer, inner in zip(self.layers, shapes, strict=True):
            if isinstance(layer, Sequential):
                found.append(layer._drawn(rng, inner))
            else:
                found.append(layer.mask(rng, inner.shape) if isinstance(layer, Dropout) else None)
        return tuple(found)


class _Shape:
    """A shape as one leaf of a tree, where a tuple would be taken apart."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
