"""wengert: gradients of plain NumPy code at compiled speed, without compile time."""

from wengert import tree
from wengert._version import VERSION
from wengert.compiled import njit_value_and_grad
from wengert.errors import RecordingWarning
from wengert.explained import explain
from wengert.flow import gradient_flow
from wengert.function import jit
from wengert.loops import turns as _turns  # noqa: F401  (teaches derivatives to roll up loops)
from wengert.loops.memory import Binomial
from wengert.loops.scan import scan
from wengert.recorded import load, record
from wengert.threads import num_threads, set_num_threads
from wengert.transform.grad import grad, value_and_grad

__version__ = VERSION
__all__ = [
    "Binomial",
    "RecordingWarning",
    "explain",
    "grad",
    "gradient_flow",
    "jit",
    "load",
    "njit_value_and_grad",
    "num_threads",
    "record",
    "scan",
    "set_num_threads",
    "tree",
    "value_and_grad",
]
