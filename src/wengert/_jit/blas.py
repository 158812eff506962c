"""Addresses of BLAS routines. Knows nothing of compiling."""

from __future__ import annotations

import sys
import threading
from functools import cache
from pathlib import Path

from wengert.errors import KernelError

_lock = threading.Lock()


def blas(name: str) -> int:
    """Address of a BLAS routine, from SciPy's own table.

    Its module is loaded by file, because importing `scipy.linalg` costs ten times as long.
    """
    with _lock:  # a module must not be loaded by two threads at once
        return _routine(name)


@cache
def _routine(name: str) -> int:
    import ctypes
    import importlib.machinery
    import importlib.util

    module = sys.modules.get("scipy.linalg.cython_blas")
    package = importlib.util.find_spec("scipy")
    if module is None and package is not None:
        folder = Path(next(iter(package.submodule_search_locations or ()))) / "linalg"
        finder = importlib.machinery.FileFinder(
            str(folder),
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        )
        spec = finder.find_spec("cython_blas")
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    if module is None:
        raise KernelError("SciPy's BLAS table (scipy.linalg.cython_blas) was not found")
    capsule = module.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))
