"""The first-order methods: gradient descent, momentum, Nesterov, RMSProp, Adam, AdamW. Formulas as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import tree
from wengert.optim.core import Optimizer, Schedule, State, add_weight_decay, like, optimizer, within


def sgd(lr: float | Schedule, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent, with momentum or Nesterov's if asked for.

        v = momentum v + g      p = p - lr v      (Nesterov: p = p - lr (g + momentum v))

    Parameters
    ----------
    lr
        Learning rate, or a schedule.
    momentum
        How much of the last direction stays, in [0, 1).
    nesterov
        Look ahead; needs a momentum.
    weight_decay
        Adds `weight_decay * p` to the gradient.

    Notes
    -----
    B. T. Polyak, USSR Comp. Math. 4 (1964); Y. Nesterov, Soviet Math. Dokl. 27 (1983), in the form of
    I. Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> opt = optim.sgd(lr=0.1, momentum=0.9)
    >>> w, state = [np.array([1.0])], opt.init([np.array([1.0])])
    >>> for _ in range(2):
    ...     w, state = opt.update(w, [np.array([1.0])], state)
    >>> w[0].round(6).tolist(), int(state["step"])
    ([0.71], 2)
    """
    within("momentum", momentum, 0.0, 1.0)
    within("weight_decay", weight_decay, 0.0)
    if nesterov and not momentum:
        raise ValueError("nesterov=True needs a momentum, for example momentum=0.9")

    def rule(params: Any, grads: Any, moments: State, lr: Any, step: Any) -> tuple[Any, State]:
        grads = add_weight_decay(grads, params, weight_decay)
        if not momentum:
            return _descend(params, lr, grads), {}
        v = tree.map(lambda v, g: momentum * v + g, moments["v"], grads)
        ahead = tree.map(lambda g, v: g + momentum * v, grads, v) if nesterov else v
        return _descend(params, lr, ahead), {"v": v}

    return optimizer("sgd", lr, ("v",) if momentum else (), rule)


def rmsprop(
    lr: float | Schedule = 1e-2,
    decay: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """RMSProp: the gradient over the root of its running mean square.

        s = decay s + (1 - decay) g²      p = p - lr g / (sqrt(s) + eps)

    Parameters
    ----------
    lr, weight_decay
        As in `sgd`.
    decay
        Of the running means, in [0, 1).
    eps
        Added to the root.
    momentum
        Of the scaled gradients, in [0, 1).
    centered
        Divide by the running standard deviation in place of the root mean square.

    Notes
    -----
    T. Tieleman & G. Hinton, Coursera lecture 6.5 (2012); centred: A. Graves, arXiv:1308.0850 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> opt = optim.rmsprop(lr=0.1, decay=0.0)
    >>> opt.update([np.array([1.0])], [np.array([5.0])], opt.init([np.array([1.0])]))[0][0].round(6).tolist()
    [0.9]
    """
    within("decay", decay, 0.0, 1.0)
    within("eps", eps, 0.0)
    within("momentum", momentum, 0.0, 1.0)
    within("weight_decay", weight_decay, 0.0)

    def rule(params: Any, grads: Any, moments: State, lr: Any, step: Any) -> tuple[Any, State]:
        grads = add_weight_decay(grads, params, weight_decay)
        found = {"s": tree.map(lambda s, g: decay * s + (1 - decay) * (g * g), moments["s"], grads)}
        spread = found["s"]
        if centered:
            found["g"] = tree.map(lambda m, g: decay * m + (1 - decay) * g, moments["g"], grads)
            spread = tree.map(lambda s, m: s - m * m, spread, found["g"])
        change = tree.map(lambda g, s: g / (np.sqrt(s) + eps), grads, spread)
        if momentum:
            change = found["v"] = tree.map(lambda v, c: momentum * v + c, moments["v"], change)
        return _descend(params, lr, change), found

    names = ("s", *(("g",) if centered else ()), *(("v",) if momentum else ()))
    return optimizer("rmsprop", lr, names, rule)


def adam(
    lr: float | Schedule = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
) -> Optimizer:
    """Adam: RMSProp and momentum, both corrected for their start at zero.

        m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g²
        p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Parameters
    ----------
    lr, b1, b2, eps
        The paper's alpha, beta1, beta2 and epsilon; `lr` may be a schedule.
    weight_decay
        Adds `weight_decay * p` to the gradient; see `adamw` for decay that is not scaled with it.

    Notes
    -----
    D. P. Kingma & J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1 with the corrections
    ordered as in its section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> opt = optim.adam(lr=0.1)
    >>> w, state = opt.update([np.array([1.0])], [np.array([5.0])], opt.init([np.array([1.0])]))
    >>> w[0].round(6).tolist()
    [0.9]
    """
    return _adam("adam", lr, b1, b2, eps, weight_decay, False)


def adamw(
    lr: float | Schedule = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-2
) -> Optimizer:
    """Adam with decoupled weight decay: `p` is scaled by `1 - lr * weight_decay` before every update of `adam`.

    Notes
    -----
    I. Loshchilov & F. Hutter, *Decoupled weight decay regularization*, ICLR 2019, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> opt = optim.adamw(lr=0.1, weight_decay=0.5)
    >>> opt.update([np.array([1.0])], [np.array([5.0])], opt.init([np.array([1.0])]))[0][0].round(6).tolist()
    [0.85]
    """
    return _adam("adamw", lr, b1, b2, eps, weight_decay, True)


def _adam(
    name: str, lr: float | Schedule, b1: float, b2: float, eps: float, weight_decay: float, decoupled: bool
) -> Optimizer:
    within("b1", b1, 0.0, 1.0)
    within("b2", b2, 0.0, 1.0)
    within("eps", eps, 0.0)
    within("weight_decay", weight_decay, 0.0)

    def rule(params: Any, grads: Any, moments: State, lr: Any, step: Any) -> tuple[Any, State]:
        if decoupled:
            shrink = 1 - lr * weight_decay
            params = tree.map(lambda p: p * like(shrink, p), params)
        else:
            grads = add_weight_decay(grads, params, weight_decay)
        m = tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments["m"], grads)
        v = tree.map(lambda v, g: b2 * v + (1 - b2) * (g * g), moments["v"], grads)
        # Both corrections are on the numbers, not on arrays; they are of float64 until they meet a parameter.
        root = np.sqrt(1 - b2**step)
        rate = lr * root / (1 - b1**step)

        def change(m: Any, v: Any) -> Any:
            return m / (np.sqrt(v) + like(eps * root, v))

        return _descend(params, rate, tree.map(change, m, v)), {"m": m, "v": v}

    return optimizer(name, lr, ("m", "v"), rule)


def _descend(params: Any, rate: Any, change: Any) -> Any:
    return tree.map(lambda p, c: p - like(rate, p) * c, params, change)
