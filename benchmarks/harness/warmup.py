"""Brings a peer's machinery up before anything is measured, and asks it for its threads and its BLAS."""

from __future__ import annotations

import time
from typing import Any

from harness.model import Call
from harness.peers import Peer


def warm_up(peer: Peer, threads: int, compile_events: dict[str, float]) -> str:
    """Import the peer, run one trivial gradient, and return its thread count in words."""
    if peer.package == "jax":
        import jax

        def listen(event: str, seconds: float, **_: Any) -> None:
            stage = {"jaxpr_trace_duration": "record", "jaxpr_to_mlir_module_duration": "record",
                     "backend_compile_duration": "compile"}.get(event.rsplit("/", 1)[-1])  # fmt: skip
            if stage:
                compile_events[stage] = compile_events.get(stage, 0.0) + seconds

        jax.monitoring.register_event_duration_secs_listener(listen)
        jax.jit(jax.value_and_grad(lambda x: x * x))(1.0)[0].block_until_ready()
        return f"{threads} (affinity and NPROC)"
    if peer.package == "torch":
        import torch

        torch.set_num_threads(threads)
        x = torch.ones(2, requires_grad=True)
        torch.autograd.grad((x * x).sum(), x)
        return f"{torch.get_num_threads()}"
    if peer.package == "wengert":
        import wengert
        from wengert import hot

        # Regions are compiled in the background once a function has taken 30 ms. Here: after its second call.
        hot._MOST = 2
        wengert.jit(wengert.value_and_grad(lambda x: x * x))(1.0)
    elif peer.package == "autograd":
        import autograd

        autograd.grad(lambda x: x * x)(1.0)
    elif peer.package == "casadi":
        import casadi  # noqa: F401
    elif peer.package == "pytensor":
        import pytensor  # noqa: F401
    elif peer.name == "limit":
        import numba

        return f"{threads} BLAS, {numba.config.NUMBA_NUM_THREADS} Numba"
    return f"{threads}"


def compile_in_background(call: Call) -> float:
    """Wait until wengert has compiled the regions of this function; for how many seconds that was."""
    from wengert import hot

    call()
    call()
    start, idle = time.perf_counter(), 0
    while idle < 3:  # between two looks a task may be neither in the queue nor under way
        pending = not hot._worker.todo.empty() or hot._worker.busy.locked()
        idle = 0 if pending else idle + 1
        time.sleep(1e-4)
    return time.perf_counter() - start


def choose_blas_threads(call: Call, threads: int) -> int:
    """Let BLAS use one thread or all, whichever makes the call faster: what a patient expert tries first."""
    if threads == 1:
        return 1
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return threads

    def fastest(count: int) -> float:
        threadpool_limits(count, "blas")
        found, stop = [], time.perf_counter() + 0.05
        while len(found) < 3 or time.perf_counter() < stop:
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
        return min(found)

    best = min((1, threads), key=fastest)
    threadpool_limits(best, "blas")
    return best


def blas() -> list[str]:
    """Every BLAS that this process has loaded: library, version, architecture chosen, threads."""
    import numpy as np

    np.ones((4, 4)) @ np.ones((4, 4))
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        known = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return [f"{known.get('name')} {known.get('version')}, architecture unknown (install threadpoolctl)"]
    found = []
    for info in threadpool_info():
        if info["user_api"] == "blas":
            where = info["filepath"].replace("\\", "/").split("/")[-2].removesuffix(".libs")
            found.append(
                f"{where}: {info['internal_api']} {info['version']}, {info.get('architecture', 'unknown')}, "
                f"threads={info['num_threads']}"
            )
    return sorted(set(found)) or ["unknown"]
