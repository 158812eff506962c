"""The only door to Numba: kernel source in, machine code out, cached by content. Knows no op.

A kernel is Python source text that defines functions over raw pointers; one of them, `kernel`, has the
signature of every kernel:

    kernel(ins, addr, n) -> status      ins   the instruction's own words (see `plan.packets`)
                                        addr  the address of every slot, one int64 each
                                        n     how many elements
                                        status 0 to go on, anything else stops the replay

Numba compiles it (never again for the same text), llvmlite turns the optimised module into an object
file, and that file is what the cache keeps. A process that finds its kernels there imports no Numba.
The key of the cache is the content: source text, this folder's code, processor and LLVM version. So nothing that
an edit has made stale can ever be found.
"""

from wengert._jit.blas import blas
from wengert._jit.cache import Scalar, address, cache_dir, content_key, fused, label, stats
from wengert._jit.entry import HEAD, Param, entry

__all__ = ["HEAD", "Param", "Scalar", "address", "blas", "cache_dir", "content_key", "entry", "fused", "label", "stats"]
