"""wengert: gradients of plain NumPy code at compiled speed, without compile time."""

from wengert.function import jit, record
from wengert.record import rules as _rules
from wengert.scan import scan
from wengert.transform.grad import grad, value_and_grad

__version__ = "0.1.0"
__all__ = ["grad", "jit", "record", "scan", "value_and_grad"]
del _rules
