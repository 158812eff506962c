"""From a call's arguments to its signature and leaves, by the shortest way. Knows no recording and no program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from wengert import tree
from wengert.errors import DTypeError, at_user

SCALARS = frozenset({np.float64, np.float32, np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16,
                     np.uint8, np.bool_})  # fmt: skip
_look = attrgetter("__class__", "dtype", "shape")


class Static:
    """An argument that is no input but part of the signature."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value, self.key = value, _told_apart(value)

    def __eq__(self, other: object) -> bool:
        return type(other) is Static and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"static {self.value!r}"


def _told_apart(x: Any) -> Any:
    """A key that differs where `1`, `1.0` and `True` do, or `0.0` and `-0.0`, which Python calls equal."""
    if type(x) is tuple:
        return (tuple, *map(_told_apart, x))
    return (float, x.hex()) if type(x) is float else (type(x), x)


def is_number(x: Any) -> bool:
    """Whether a leaf is an input: an array or a number. Python's bools are not, they are part of the signature."""
    return isinstance(x, np.ndarray | np.generic | float | int | complex) and not isinstance(x, bool)


def leaf_key(x: Any) -> Any:
    """A leaf's part of the signature, or `DTypeError`."""
    kind = type(x)
    if kind is np.ndarray or isinstance(x, np.generic):
        return (x.dtype, x.shape)
    if kind is float or kind is int or kind is complex:
        return kind
    if isinstance(x, np.ndarray):
        if kind is np.memmap:
            return (x.dtype, x.shape)
        raise DTypeError(
            at_user(
                f"an argument of a jitted function is a {kind.__name__}, whose own arithmetic a recording cannot "
                "follow. Pass np.asarray(x)"
            )
        )
    try:
        hash(x)
    except TypeError:
        what = f"the static argument {x.value!r} of" if kind is Static else f"a {kind.__name__} among the arguments of"
        raise DTypeError(
            at_user(
                f"{what} a jitted function is neither a number or array, nor a container "
                "that optree knows, nor hashable. Register its class as a pytree, or capture it in a closure"
            )
        ) from None
    return (kind, x)


# --- static arguments --------------------------------------------------------------------------------


class Statics:
    """Which arguments are static, by position and by name."""

    def __init__(self, f: Callable[..., Any], argnums: int | Sequence[int], argnames: str | Iterable[str]) -> None:
        self.numbers = {argnums} if isinstance(argnums, int) else set(argnums)
        self.names = {argnames} if isinstance(argnames, str) else set(argnames)
        try:
            known = list(inspect.signature(f).parameters.values())
        except (TypeError, ValueError):
            return
        open_ended = {p.kind for p in known}
        positional = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        for k in self.numbers:
            if not -len(positional) <= k < len(positional) and inspect.Parameter.VAR_POSITIONAL not in open_ended:
                raise ValueError(f"static_argnums names argument {k}, but {_named(f)} has {len(positional)} of them")
        for name in self.names:
            if name not in {p.name for p in known} and inspect.Parameter.VAR_KEYWORD not in open_ended:
                raise ValueError(f"static_argnames names {name!r}, but {_named(f)} takes {', '.join(positional)}")
        if inspect.Parameter.VAR_POSITIONAL not in open_ended:
            self.numbers = {k % len(positional) for k in self.numbers}
        self.numbers |= {positional.index(name) for name in self.names if name in positional}
        self.names |= {positional[k] for k in self.numbers if -len(positional) <= k < len(positional)}

    def marked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the static ones wrapped."""
        places = {k % len(args) for k in self.numbers if -len(args) <= k < len(args)}
        found = tuple([Static(x) if k in places else x for k, x in enumerate(args)])
        return found, {k: Static(x) if k in self.names else x for k, x in kwargs.items()}


def _named(f: Callable[..., Any]) -> str:
    return str(getattr(f, "__name__", type(f).__name__))


# --- the way to the leaves ---------------------------------------------------------------------------


class _Other(Exception):
    """The arguments have another structure."""


Reader = Callable[[Any, list[Any]], None]
"""Appends the leaves of its first argument to the second."""


class Route:
    """The way to the leaves of arguments of one signature: as fast as Python allows, or not at all.

    It goes by the types and lengths of the containers and the keys of the dicts; where anything is different from
    the arguments it was made for, `values` is None, and the signature must be worked out.
    """

    def __init__(self, args: Any, kwargs: Any, leaves: Sequence[Any], branches: Any) -> None:
        self.branches = branches
        self.kinds = [type(x) for x in leaves]
        arrays = [k for k, x in enumerate(leaves) if isinstance(x, np.ndarray | np.generic)]
        numbers = [k for k, x in enumerate(leaves) if is_number(x)]
        self.all_arrays = len(arrays) == len(leaves)
        self.arrays = _getter(arrays)
        self.looks = [_look(leaves[k]) for k in arrays]
        self.numbers = _getter(numbers) if len(numbers) < len(leaves) else None
        self.fixed = [(k, leaf_key(x)) for k, x in enumerate(leaves) if not is_number(x)]
        self.readers = [_reader(x) for x in args]
        self.named = _reader(kwargs) if kwargs else None
        found = self._leaves(args, kwargs)
        self.usable = found is not None and len(found) == len(leaves) and all(map(_same, found, leaves))

    def _leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
        readers, named = self.readers, self.named
        if len(args) != len(readers) or (named is None and kwargs):
            return None
        leaves: list[Any] = []
        try:
            for x, reader in zip(args, readers):
                if reader is None:
                    leaves.append(x)
                else:
                    reader(x, leaves)
            if named is not None:
                named(kwargs, leaves)
        except (_Other, KeyError, AttributeError, ValueError):
            return None
        return leaves

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any] | None:
        """The numbers and arrays among the arguments, in the order of the inputs; None if the signature differs."""
        leaves = self._leaves(args, kwargs)
        if leaves is None:
            return None
        if self.all_arrays:
            try:
                return leaves if [*map(_look, leaves)] == self.looks else None
            except AttributeError:
                return None
        if [*map(type, leaves)] != self.kinds or [*map(_look, self.arrays(leaves))] != self.looks:
            return None
        for k, key in self.fixed:
            if leaf_key(leaves[k]) != key:
                return None
        return leaves if self.numbers is None else self.numbers(leaves)


def _same(x: Any, y: Any) -> bool:
    return x is y


def _getter(places: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Items as a tuple, however many there are."""
    if len(places) > 1:
        return itemgetter(*places)
    return (lambda x: (x[places[0]],)) if places else (lambda x: ())


def _reader(example: Any) -> Reader | None:
    """What reads the leaves of a tree like this one; None for a leaf."""
    if example is None:
        return _nothing
    kind: Any = type(example)
    if kind is dict and all(type(k) is str for k in example):
        keys = sorted(example)  # optree's order
        return _items(kind, _getter(keys), [_reader(example[k]) for k in keys])
    if kind is tuple or kind is list:
        return _items(kind, None, [_reader(c) for c in example])
    apart = tree.taken_apart(example)
    if apart is None:
        return None
    parts, rest = apart(example)
    readers = [_reader(c) for c in parts]

    def read(x: Any, out: list[Any]) -> None:
        if type(x) is not kind:
            raise _Other
        children, other = apart(x)
        found = list(children)
        if other != rest or len(found) != len(readers):
            raise _Other
        for child, reader in zip(found, readers, strict=True):
            out.append(child) if reader is None else reader(child, out)

    return read


def _nothing(x: Any, out: list[Any]) -> None:
    if x is not None:
        raise _Other


def _items(kind: Any, get: Callable[[Any], tuple[Any, ...]] | None, readers: list[Reader | None]) -> Reader:
    """A reader of a dict, tuple or list."""
    count = len(readers)

    def flat(x: Any, out: list[Any]) -> None:
        if type(x) is not kind or len(x) != count:
            raise _Other
        out += x if get is None else get(x)

    def nested(x: Any, out: list[Any]) -> None:
        if type(x) is not kind or len(x) != count:
            raise _Other
        for child, reader in zip(x if get is None else get(x), readers, strict=True):
            if reader is None:
                out.append(child)
            else:
                reader(child, out)

    return flat if all(r is None for r in readers) else nested
