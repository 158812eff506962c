"""Modules: frozen dataclasses whose arrays are the leaves of a pytree. Knows no layer."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, dataclass_transform

import optree

from wengert import tree


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """A field of a `Module` that is no parameter: a size, a flag, a function.

    It belongs to the structure of the tree, so a jitted function is recorded anew for another value, and
    gradients carry it unchanged. It must be hashable.

    Parameters
    ----------
    default
        The value where none is given.

    Examples
    --------
    >>> from wengert import nn
    >>> class Scale(nn.Module):
    ...     factor: float
    ...     axis: int = nn.static(default=-1)
    >>> from wengert import tree
    >>> tree.flatten(Scale(2.0, axis=0))[0]
    [2.0]
    """
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
class Module:
    """Base of all layers, and of your own: a frozen dataclass that is a pytree.

    A subclass lists its parameters and parts as annotated fields and says in `__call__` what it does with
    them. Fields hold arrays, other modules, and tuples, lists or dicts of them; what is not to be trained is
    marked `nn.static()`. It becomes a dataclass and is registered with optree by being defined. `print(model)`
    shows a table of layers, shapes and counts.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import nn
    >>> class Residual(nn.Module):
    ...     inner: nn.Dense
    ...     def __call__(self, x):
    ...         return x + np.tanh(self.inner(x))
    >>> model = Residual(nn.Dense.init(np.random.default_rng(0), 3, 3))
    >>> loss = lambda model, x: np.mean(model(x) ** 2)
    >>> slope = wengert.grad(loss)(model, np.ones((5, 3), np.float32))
    >>> slope
    Residual(inner=Dense(w=float32(3, 3), b=float32(3,)))
    """

    _leaves: ClassVar[tuple[str, ...]] = ()
    _flags: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)  # type: ignore[call-overload]
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        cls._leaves = tuple(f.name for f in fields if not f.metadata.get("static"))
        cls._flags = tuple(f.name for f in fields if f.metadata.get("static"))
        register: Any = optree.register_pytree_node
        register(cls, _taken_apart, cls._put_together, path_entry_type=optree.GetAttrEntry, namespace=tree.NAMESPACE)

    @classmethod
    def _put_together(cls, flags: tuple[Any, ...], leaves: Any) -> Module:
        """A module from its parts. Anything may be a leaf here, so that nothing is checked."""
        new = object.__new__(cls)
        new.__dict__.update(zip(cls._leaves, leaves, strict=True))
        new.__dict__.update(zip(cls._flags, flags, strict=True))
        return new

    def __repr__(self) -> str:
        parts = [f"{name}={_short(vars(self)[name])}" for name in (*self._leaves, *self._flags)]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        from wengert.nn.summary import table  # rich is only needed by those who look

        return table(self)


def _taken_apart(module: Module) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[str, ...]]:
    values = vars(module)
    leaves, flags = module._leaves, module._flags
    return tuple([values[n] for n in leaves]), tuple([values[n] for n in flags]), leaves


def _short(value: Any) -> str:
    """A value in a few words: arrays by dtype and shape."""
    if isinstance(value, tuple | list):
        inner = ", ".join(map(_short, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_short(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{tuple(value.shape)}"
    return called(value) if callable(value) and not isinstance(value, Module) else repr(value)


def called(function: Any) -> str:
    """The name of a function, for messages."""
    return str(getattr(function, "__name__", type(function).__name__))
