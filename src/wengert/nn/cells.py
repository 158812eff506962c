"""Recurrent cells: one step in time as a plain function on a dict of parameters. Public API and NumPy only.

All gates come from one product: their columns lie side by side in w, u and b, in PyTorch's order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.nn.activations import sigmoid
from wengert.nn.initialisers import glorot_uniform, orthogonal

Params = dict[str, Any]


def _params(rng: np.random.Generator, n_in: int, hidden: int, gates: int, bias: bool, dtype: Any) -> Params:
    """Glorot for the inputs and orthogonal for the state, each gate on its own."""
    w = [glorot_uniform(rng, (n_in, hidden), dtype) for _ in range(gates)]
    u = [orthogonal(rng, (hidden, hidden), dtype) for _ in range(gates)]
    return {
        "w": np.concatenate(w, axis=1),
        "u": np.concatenate(u, axis=1),
        "b": np.zeros(gates * hidden, dtype) if bias else None,
    }


def _plus(z: Any, b: Any) -> Any:
    return z if b is None else z + b


def _part(z: Any, k: int, hidden: int, count: int = 1) -> Any:
    """The columns of gate k, or of `count` gates from there on."""
    return z[..., k * hidden : (k + count) * hidden]


def rnn_init(rng: np.random.Generator, n_in: int, hidden: int, *, bias: bool = True, dtype: Any = np.float32) -> Params:
    """Parameters of `rnn_cell`: w (n_in, hidden) Glorot, u (hidden, hidden) orthogonal, b (hidden,) 0 or None.

    Parameters
    ----------
    rng
        Source of the random weights.
    n_in, hidden
        Sizes of input and state.
    bias
        Whether there is a bias.
    dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> {k: v.shape for k, v in nn.rnn_init(np.random.default_rng(0), 2, 8).items()}
    {'w': (2, 8), 'u': (8, 8), 'b': (8,)}
    """
    return _params(rng, n_in, hidden, 1, bias, dtype)


def rnn_cell(params: Params, carry: Any, x: Any, activation: Callable[[Any], Any] = np.tanh) -> tuple[Any, Any]:
    """A step of an Elman network, h' = activation(x W + h U + b).

    Parameters
    ----------
    params
        From `rnn_init`.
    carry
        h, of shape (batch, hidden).
    x
        Of shape (batch, n_in).
    activation
        `np.tanh`, `nn.relu` or another function.

    Returns
    -------
    carry, y
        Both h'.

    Notes
    -----
    J. L. Elman, *Finding structure in time*, Cognitive Science 14 (1990).

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import nn
    >>> params = nn.rnn_init(np.random.default_rng(0), 2, 8)
    >>> xs, h = np.zeros((5, 3, 2), np.float32), np.zeros((3, 8), np.float32)
    >>> h, ys = wengert.scan(lambda h, x: nn.rnn_cell(params, h, x), h, xs)
    >>> ys.shape
    (5, 3, 8)
    """
    h = activation(_plus(x @ params["w"] + carry @ params["u"], params.get("b")))
    return h, h


def lstm_init(
    rng: np.random.Generator, n_in: int, hidden: int, *, bias: bool = True, forget_bias: float = 1.0,
    peepholes: bool = False, dtype: Any = np.float32,
) -> Params:  # fmt: skip
    """Parameters of `lstm_cell`.

    w is (n_in, 4 hidden), Glorot; u is (hidden, 4 hidden), each gate's block orthogonal; b is (4 hidden,), 0
    but for the forget gate. Gates lie in the order input, forget, candidate, output.

    Parameters
    ----------
    rng
        Source of the random weights.
    n_in, hidden
        Sizes of input and state.
    bias
        Whether there is a bias.
    forget_bias
        Bias of the forget gate: at 1 a new network remembers.
    peepholes
        Whether gates see the cell state: p of shape (3, hidden) for input, forget and output gate, first 0.
    dtype
        float32 or float64.

    Raises
    ------
    ValueError
        For a forget bias without biases.

    Notes
    -----
    Forget bias: F. A. Gers, J. Schmidhuber and F. Cummins, *Learning to forget*, Neural Computation 12
    (2000); R. Jozefowicz et al., *An empirical exploration of recurrent network architectures*, ICML (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> {k: v.shape for k, v in nn.lstm_init(np.random.default_rng(0), 2, 8, peepholes=True).items()}
    {'w': (2, 32), 'u': (8, 32), 'b': (32,), 'p': (3, 8)}
    """
    params = _params(rng, n_in, hidden, 4, bias, dtype)
    if bias:
        params["b"][hidden : 2 * hidden] = forget_bias
    elif forget_bias != 1.0:
        raise ValueError("lstm_init: forget_bias needs bias=True")
    if peepholes:
        params["p"] = np.zeros((3, hidden), dtype)
    return params


def lstm_cell(params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
    """A step of a long short-term memory with forget gate, and with peepholes if the parameters have `p`.

        i = sigmoid(x Wi + h Ui + bi + c pi)        g  = tanh(x Wg + h Ug + bg)
        f = sigmoid(x Wf + h Uf + bf + c pf)        c' = f c + i g
        o = sigmoid(x Wo + h Uo + bo + c' po)       h' = o tanh(c')

    Parameters
    ----------
    params
        From `lstm_init`.
    carry
        (h, c), each of shape (batch, hidden).
    x
        Of shape (batch, n_in).

    Returns
    -------
    carry, y
        (h', c') and h'.

    Notes
    -----
    S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997); forget gate: Gers et al., Neural
    Computation 12 (2000); peepholes: F. A. Gers, N. N. Schraudolph and J. Schmidhuber, JMLR 3 (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> params = nn.lstm_init(np.random.default_rng(0), 2, 8)
    >>> h = c = np.zeros((3, 8), np.float32)
    >>> (h, c), y = nn.lstm_cell(params, (h, c), np.ones((3, 2), np.float32))
    >>> y.shape, y is h
    ((3, 8), True)
    """
    h, c = carry
    n = params["u"].shape[0]
    z = _plus(x @ params["w"] + h @ params["u"], params.get("b"))
    z_i, z_f, z_g, z_o = (_part(z, k, n) for k in range(4))
    p = params.get("p")
    if p is not None:
        z_i, z_f = z_i + c * p[0], z_f + c * p[1]
    c = sigmoid(z_f) * c + sigmoid(z_i) * np.tanh(z_g)
    if p is not None:
        z_o = z_o + c * p[2]
    h = sigmoid(z_o) * np.tanh(c)
    return (h, c), h


def gru_init(
    rng: np.random.Generator, n_in: int, hidden: int, *, bias: bool = True, reset_after: bool = True,
    dtype: Any = np.float32,
) -> Params:  # fmt: skip
    """Parameters of `gru_cell`.

    w is (n_in, 3 hidden), Glorot; u is (hidden, 3 hidden), each gate's block orthogonal; b is (3 hidden,), 0.
    Gates lie in the order reset, update, candidate. With `reset_after` there is c, too, of shape (hidden,) or
    None: the bias of the candidate's recurrent product, which the reset gate acts upon.

    Parameters
    ----------
    rng
        Source of the random weights.
    n_in, hidden
        Sizes of input and state.
    bias
        Whether there are biases.
    reset_after
        True: for the form in which the reset gate acts after the recurrent product. False: before it.
    dtype
        float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> {k: v.shape for k, v in nn.gru_init(np.random.default_rng(0), 2, 8).items()}
    {'w': (2, 24), 'u': (8, 24), 'b': (24,), 'c': (8,)}
    """
    params = _params(rng, n_in, hidden, 3, bias, dtype)
    if reset_after:
        params["c"] = np.zeros(hidden, dtype) if bias else None
    return params


def gru_cell(params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
    """A step of a gated recurrent unit, in one of two forms.

        r = sigmoid(x Wr + h Ur + br)       n  = tanh(x Wn + r (h Un + c) + bn)       parameters with c
        z = sigmoid(x Wz + h Uz + bz)       n  = tanh(x Wn + (r h) Un + bn)           without
                                            h' = (1 - z) n + z h

    With c the reset gate acts after the recurrent product, as in PyTorch and cuDNN; without, before it, as in
    the paper.

    Parameters
    ----------
    params
        From `gru_init`.
    carry
        h, of shape (batch, hidden).
    x
        Of shape (batch, n_in).

    Returns
    -------
    carry, y
        Both h'.

    Notes
    -----
    K. Cho et al., *Learning phrase representations using RNN encoder-decoder for statistical machine
    translation*, EMNLP (2014), equations 5 to 8; their z is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> params = nn.gru_init(np.random.default_rng(0), 2, 8)
    >>> h, y = nn.gru_cell(params, np.zeros((3, 8), np.float32), np.ones((3, 2), np.float32))
    >>> y.shape
    (3, 8)
    """
    h, u, reset_after = carry, params["u"], "c" in params
    n = u.shape[0]
    zx = _plus(x @ params["w"], params.get("b"))
    zh = h @ (u if reset_after else _part(u, 0, n, 2))
    r, z = (sigmoid(_part(zx, k, n) + _part(zh, k, n)) for k in range(2))
    if reset_after:
        inner = r * _plus(_part(zh, 2, n), params["c"])
    else:
        inner = (r * h) @ _part(u, 2, n)
    new = np.tanh(_part(zx, 2, n) + inner)
    h = new + z * (h - new)
    return h, h
