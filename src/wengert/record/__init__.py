"""Recording: tracers that answer NumPy's protocols, and the recorder they write to.

Importing this package teaches tracers their functions, indexing and values.
"""

from wengert.record import indexing, numbers, rules, values

__all__ = ["indexing", "numbers", "rules", "values"]
