"""The contestants: which package each needs, its environment, how its arrays are made and read."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One contestant."""

    name: str
    label: str
    package: str
    slow: bool = False
    """Runs with --slow only."""
    ponderous: bool = False
    """Compiles for seconds: not with --quick."""

    @property
    def family(self) -> str:
        """Whose arrays it takes: "jax", "torch", or "numpy"."""
        return self.package if self.package in ("jax", "torch") else "numpy"


PEERS = {
    p.name: p
    for p in (
        Peer("wengert", "wengert", "wengert"),
        Peer("unjitted", "wengert, no jit", "wengert"),
        Peer("jax", "JAX", "jax"),
        Peer("jax-tuned", "JAX, hand-tuned", "jax", ponderous=True),
        Peer("torch", "PyTorch", "torch"),
        Peer("torch-compile", "torch.compile", "torch", slow=True, ponderous=True),
        Peer("autograd", "autograd", "autograd"),
        Peer("casadi", "CasADi", "casadi"),
        Peer("pytensor", "PyTensor", "pytensor", ponderous=True),
        Peer("limit", "by hand", "numba"),
    )
}

OURS = ("wengert", "unjitted")
"""The peers that are wengert."""


@cache
def installed(package: str) -> bool:
    """Whether the package can be imported; found without importing it."""
    return importlib.util.find_spec(package) is not None


def version(package: str) -> str:
    """The installed version, or ""."""
    try:
        return metadata.version({"sklearn": "scikit-learn"}.get(package, package))
    except metadata.PackageNotFoundError:
        return ""


def environment(threads: int, cache_dir: str | None = None) -> dict[str, str]:
    """Environment of every worker: the same thread count for all, and no BLAS architecture forced on anyone."""
    env = dict(os.environ)
    env.pop("OPENBLAS_CORETYPE", None)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS", "VECLIB_MAXIMUM", "WENGERT"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    env["NPROC"] = str(threads)  # read by XLA for the size of its thread pool
    env["JAX_PLATFORMS"] = "cpu"
    if threads == 1:
        env["XLA_FLAGS"] = (env.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false").strip()
    if cache_dir is not None:
        env["WENGERT_CACHE_DIR"] = cache_dir
        env["JAX_CACHE"] = os.path.join(cache_dir, "jax")  # read by the script that uses JAX's own cache
    return env


def pin(threads: int) -> None:
    """Keep this process on `threads` cores, where the system can; every thread pool then sizes itself by it."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-threads:])


def native(peer: Peer, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs in the peer's own array type; Python numbers stay what they are. This is not timed."""
    import numpy as np

    if peer.family == "jax":
        import jax.numpy as jnp

        return tuple(jnp.asarray(v) if isinstance(v, np.ndarray) else v for v in values)
    if peer.family == "torch":
        import torch

        return tuple(torch.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for v in values)
    return values


def prepare(peer: Peer, dtype: str) -> None:
    """Set the peer up for a case of this dtype."""
    if peer.family == "jax":
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
    elif peer.name == "torch-compile":
        import torch

        torch._dynamo.reset()  # else it gives up after so many versions of one function


def blocking(peer: Peer, call: Any) -> Any:
    """The call, waiting for its result. JAX's arrays are waited for by their own method: `jax.block_until_ready`
    costs 1.5 us more, a fifth of a small call."""
    if peer.family != "jax":
        return call

    def wait(result: Any) -> Any:
        if type(result) is tuple:
            for part in result:
                wait(part)
        else:
            result.block_until_ready()
        return result

    return lambda: wait(call())


def as_numpy(result: Any) -> list[Any]:
    """The leaves of a result as NumPy arrays, dictionaries in the order of their keys."""
    import numpy as np

    if isinstance(result, dict):
        return [a for k in sorted(result) for a in as_numpy(result[k])]
    if isinstance(result, list | tuple):
        return [a for item in result for a in as_numpy(item)]
    if hasattr(result, "detach"):
        result = result.detach().numpy()
    return [np.array(result)]
