"""Runs one suite of calls: prepare every peer, compare their results, then time them in turns A B C A B C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from harness.agree import disagreements
from harness.model import Case, NotHere, Suite
from harness.peers import OURS, PEERS, installed
from harness.pool import Pool, Remote, WorkerError, resting
from harness.report import Method, Report, row_of
from harness.stats import break_even, spread, steady

KEPT = ("first", "record", "compile", "background", "kernels", "note")
"""What a worker says of a first call, and the results keep."""
REFERENCE = ("limit", "autograd", "jax", "torch", "wengert")


def contestants(names: Iterable[str], asked: Iterable[str], method: Method, report: Report, suite: str) -> list[str]:
    """The peers of a suite that are asked for and installed."""
    found = []
    for name in names:
        peer = PEERS[name]
        if name not in asked:
            continue
        if peer.slow and not method.slow:
            continue
        if not installed(peer.package):
            report.skip(suite, "", name, f"{peer.package} is not installed")
            continue
        found.append(name)
    return sorted(found, key=list(PEERS).index)


def invited(suite: str, case: Case, peers: Iterable[str], method: Method, report: Report) -> list[str]:
    """Those of them that take part in this case."""
    found = []
    for name in peers:
        if name in case.without:
            report.skip(suite, case.name, name, "not how its users would do it, or the same as in another case")
        elif name in case.slow_peers and not method.slow:
            report.skip(suite, case.name, name, "takes long; with --slow")
        else:
            found.append(name)
    return found


def measure(
    suite: Suite,
    asked: Iterable[str],
    method: Method,
    report: Report,
    pool: Pool,
    say: Callable[[str], None],
    only: Iterable[str] = (),
) -> None:
    """All cases of a suite of calls, or those with the names in `only`."""
    peers = contestants(suite.builders, asked, method, report, suite.name)
    chosen = set(only)
    for case in suite.cases(method.quick):
        if not chosen or case.name in chosen:
            say(f"{suite.name}: {case.name}")
            _measure_case(suite, case, invited(suite.name, case, peers, method, report), method, report, pool)
    for name, remote in pool.remotes.items():
        if remote.alive and name in report.workers:
            report.workers[name]["blas"] = remote.ask("blas")


def _measure_case(suite: Suite, case: Case, peers: list[str], method: Method, report: Report, pool: Pool) -> None:
    with report.clock(suite.name, "coming up"):
        remotes = _come_up(suite.name, case, peers, report, pool)
    with report.clock(suite.name, "first calls"):
        prepared = _prepare(suite, case, remotes, method, report)
    if not prepared:
        return
    results = {name: facts.pop("result") for name, facts in prepared.items()}
    with report.clock(suite.name, "comparing"):
        reference, distances, lines = disagreements(results, case.tolerance, REFERENCE + tuple(PEERS))
        lines += _elsewhere(suite.name, case, remotes, report)
    if lines:
        report.mismatches += [{"suite": suite.name, "case": case.name, "what": line} for line in lines]
        return
    samples = _turns(suite.name, case, remotes, method, report)
    rows = []
    for name, (seconds, calls) in samples.items():
        facts = prepared[name]
        found = {key: facts.get(key) for key in KEPT} | {"against": reference, "distance": distances.get(name, 0.0)}
        rows.append(
            row_of(suite.name, case, name, "s", spread(seconds)) | {"rounds": len(seconds), "calls": calls} | found
        )
    _add_break_even(rows)
    report.results += rows


def _come_up(suite: str, case: Case, peers: list[str], report: Report, pool: Pool) -> dict[str, Remote]:
    """A worker for each peer. Those that are not there yet start together."""
    remotes = {name: pool.get(name) for name in peers}
    for name in peers:
        try:
            report.workers.setdefault(name, remotes[name].facts)
        except WorkerError as error:
            report.fail(suite, case.name, name, str(error))
            del remotes[name]
    return remotes


def _prepare(
    suite: Suite, case: Case, remotes: dict[str, Remote], method: Method, report: Report
) -> dict[str, dict[str, Any]]:
    """First calls: one peer after the other, or all at once with --quick, where nothing depends on the time.

    Peers that do not get that far leave `remotes`.
    """
    prepared: dict[str, dict[str, Any]] = {}
    for name, remote in list(remotes.items()):
        remote.post("prepare", suite.name, case, not method.quick)
        if not method.quick:
            _collect(suite, case, name, remotes, prepared, report)
    if method.quick:
        for name in list(remotes):
            _collect(suite, case, name, remotes, prepared, report)
    return prepared


def _collect(
    suite: Suite, case: Case, name: str, remotes: dict[str, Remote], prepared: dict[str, Any], report: Report
) -> None:
    try:
        prepared[name] = remotes[name].collect()
    except NotHere as why:
        report.skip(suite.name, case.name, name, str(why))
        del remotes[name]
    except WorkerError as error:
        report.fail(suite.name, case.name, name, str(error))
        del remotes[name]


def _elsewhere(suite: str, case: Case, remotes: dict[str, Remote], report: Report) -> list[str]:
    """Wengert's results at inputs that were changed in place, against the derivative by hand at the same place:
    what is timed is computed anew at each call."""
    results = {}
    for name in ("limit", *OURS):
        if name in remotes:
            try:
                results[name] = remotes[name].ask("elsewhere")
            except WorkerError as error:
                report.fail(suite, case.name, name, str(error))
                del remotes[name]
    if "limit" not in results:
        return []
    lines = disagreements(results, case.tolerance, ("limit",))[2]
    return [f"after a change of the inputs in place, {line}" for line in lines]


def _turns(
    suite: str, case: Case, remotes: dict[str, Remote], method: Method, report: Report
) -> dict[str, tuple[list[float], int]]:
    """Interleaved turns; per peer the seconds a call in each turn, and the calls a turn."""
    with resting(remotes.values()):
        plans: dict[str, tuple[int, float]] = {}
        with report.clock(suite, "warm-up"):
            for name, remote in remotes.items():
                try:
                    once = remote.alone("settle", method.settle)
                    plans[name] = max(1, round(method.batch / once)), once
                except WorkerError as error:
                    report.fail(suite, case.name, name, str(error))
        with report.clock(suite, "turns"):
            samples = _in_turns(suite, case, remotes, plans, method, report)
    return {name: (seconds, plans[name][0]) for name, seconds in samples.items()}


def _in_turns(
    suite: str, case: Case, remotes: dict[str, Remote], plans: dict[str, tuple[int, float]], method: Method,
    report: Report,
) -> dict[str, list[float]]:  # fmt: skip
    samples: dict[str, list[float]] = {name: [] for name in plans}
    used = dict.fromkeys(plans, 0.0)
    for turn in range(method.rounds):
        for name, (calls, once) in list(plans.items()):
            if steady(samples[name], method.enough) or (turn >= method.least and used[name] >= method.budget):
                continue
            start = time.perf_counter()
            try:
                samples[name].append(remotes[name].alone("turn", calls, once))
            except WorkerError as error:
                report.fail(suite, case.name, name, str(error))
                del plans[name], samples[name]
            used[name] += time.perf_counter() - start
    return samples


def _add_break_even(rows: list[dict[str, Any]]) -> None:
    """Against JAX: with kernels compiled before (`break_even`) and with an empty kernel cache (`..._cold`)."""
    theirs = next((r for r in rows if r["peer"] == "jax"), None)
    for row in rows:
        if theirs is None or row["peer"] not in OURS:
            continue
        for key, first in (("break_even", row["record"]), ("break_even_cold", row["first"])):
            if first is not None:
                row[key] = break_even(first, row["median"], theirs["first"], theirs["median"])
