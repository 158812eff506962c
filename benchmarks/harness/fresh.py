"""Measures whole processes: a script in a fresh interpreter, timed or weighed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.agree import disagreements
from harness.machine import cores
from harness.measure import REFERENCE, contestants, invited
from harness.model import MARK, Case, NotHere, ProcessSuite
from harness.peers import OURS, PEERS, environment
from harness.pool import WorkerError
from harness.report import Method, Report, row_of
from harness.stats import rounds_for, spread

_HEAD = """import os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-{threads}:])
_start = time.perf_counter()
def _peak():
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
def _settled():  # free memory goes back to the system, and the peak starts again from what is in use
    import ctypes, gc
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except (OSError, AttributeError, TypeError):
        pass
    return _peak()
_before = 0.0
"""
_TAIL = """
_taken = time.perf_counter() - _start
_grown = _peak() - _before
import json
print("RESULT " + json.dumps({"seconds": _taken, "MB": _grown, "result": [float(_v) for _v in result]}))
"""


def run_script(text: str, threads: int, cache_dir: str | None, timeout: float) -> dict[str, Any]:
    """Run one script in a fresh process; what it measured, and the process's own wall time."""
    text = text.replace(MARK, "_before = _settled()")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(_HEAD.format(threads=threads) + text + _TAIL, encoding="utf-8")
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, str(path)], env=environment(threads, cache_dir), capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise WorkerError(f"no result after {timeout:.0f} s") from None
        wall = time.perf_counter() - start
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()
        raise WorkerError(said[-1][:300] if said else f"exit code {done.returncode}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found | {"process": wall}


@dataclass(frozen=True)
class Bench:
    """Everything that measuring a script needs to know, other than the script."""

    suite: ProcessSuite
    method: Method
    report: Report
    cache: str | None
    """The kernel cache of cases that do not ask for an empty one."""


def sample(bench: Bench, case: Case, peer: str) -> tuple[float, list[float]]:
    """One measurement and its result."""
    suite, method = bench.suite, bench.method
    threads = suite.threads or method.threads
    text = suite.scripts[peer](case)
    if case.params.get("cache") == "empty":
        with tempfile.TemporaryDirectory() as empty:
            found = run_script(text, threads, empty, method.timeout)
    else:
        found = run_script(text, threads, bench.cache, method.timeout)
    key = "MB" if suite.unit == "MB" else "process" if suite.whole_process else "seconds"
    return found[key], found["result"]


def measure_processes(
    suite: ProcessSuite,
    asked: Iterable[str],
    method: Method,
    report: Report,
    cache: str | None,
    say: Callable[[str], None],
    only: Iterable[str] = (),
) -> None:
    """All cases of a suite of whole processes, or those named in `only`.

    The first run of each script is compared; times of it count with --quick only. A peer whose script is the same in
    two cases (it has no kernel cache that could be empty) is measured in the first of them.
    """
    bench = Bench(suite, method, report, cache)
    peers = contestants(suite.scripts, asked, method, report, suite.name)
    chosen, known = set(only), dict[tuple[str, str], dict[str, Any]]()
    for case in suite.cases(method.quick):
        if chosen and case.name not in chosen:
            continue
        say(f"{suite.name}: {case.name}")
        here = invited(suite.name, case, peers, method, report)
        keys = {name: (name, suite.scripts[name](case)) for name in here if name not in (*OURS, "limit")}
        again = [known[key] | {"case": case.name} for key in keys.values() if key in known]
        rows = _measure_case(bench, case, [name for name in here if keys.get(name) not in known])
        if rows:
            report.results += sorted(rows + again, key=lambda row: list(PEERS).index(row["peer"]))
        known |= {keys[row["peer"]]: row for row in rows if row["peer"] in keys}


def _measure_case(bench: Bench, case: Case, peers: list[str]) -> list[dict[str, Any]]:
    suite, method, report = bench.suite, bench.method, bench.report
    with report.clock(suite.name, "first calls"):
        start = time.perf_counter()
        first = _round(bench, case, peers, at_once=cores() if method.quick else 1)
        taken = time.perf_counter() - start
    if not first:
        return []
    parts = {name: _parts(suite, values) for name, (_, values) in first.items()}
    reference, distances, lines = disagreements(parts, case.tolerance, REFERENCE + tuple(PEERS))
    if lines:
        report.mismatches += [{"suite": suite.name, "case": case.name, "what": line} for line in lines]
        return []
    weighed = suite.unit == "MB"
    samples = {name: [once] if method.quick or weighed else [] for name, (once, _) in first.items()}
    rounds = rounds_for(taken, suite.rounds, method.process_budget, method.least)
    rounds = 0 if method.quick else 1 if weighed else rounds  # memory hardly differs from run to run
    with report.clock(suite.name, "turns"):
        for _ in range(rounds):
            for name, (once, _) in _round(bench, case, list(samples)).items():
                samples[name].append(once)
    return [
        row_of(suite.name, case, name, suite.unit, spread(found))
        | {"rounds": len(found), "calls": 1, "against": reference, "distance": distances.get(name, 0.0)}
        for name, found in samples.items()
        if found
    ]


def _parts(suite: ProcessSuite, values: list[float]) -> list[list[float]]:
    """What is compared: the value and all the rest; each number by itself where they are norms."""
    return [[v] for v in values] if suite.unit == "MB" else [values[:1], values[1:]]


def _round(bench: Bench, case: Case, peers: list[str], at_once: int = 1) -> dict[str, tuple[float, list[float]]]:
    """One process for each peer; (figure, result) of those that finished."""
    found = {}
    with ThreadPoolExecutor(at_once) as executor:
        jobs = {name: executor.submit(sample, bench, case, name) for name in peers}
        for name, job in jobs.items():
            try:
                found[name] = job.result()
            except NotHere as why:
                bench.report.skip(bench.suite.name, case.name, name, str(why))
            except WorkerError as error:
                bench.report.fail(bench.suite.name, case.name, name, str(error))
    return found
