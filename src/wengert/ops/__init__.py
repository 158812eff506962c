"""The ops, written once each. Importing this package fills the registry, always in the same order."""

from wengert.ops import elementwise, guard, index, join, matmul, reduce, views

__all__ = ["elementwise", "guard", "index", "join", "matmul", "reduce", "views"]
