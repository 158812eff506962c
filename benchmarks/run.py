"""Where wengert stands: times it against other libraries and against derivatives written by hand.

    python benchmarks/run.py                        everything, about ten minutes
    python benchmarks/run.py --quick                under a minute; asserts only that results agree
    python benchmarks/run.py --suite rnn,gru --threads 1 --json out.json

Each peer works in a process of its own. Before anything is timed, every peer's value and gradient are compared
with the others'; a difference makes the run fail. Then the peers take turns, A B C A B C.

Exit code 0: all results agree. 1: somebody's result differs, or wengert failed. 2: a bad option. 3: --compare found
wengert slower.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import compare, machine, page
from harness.fresh import measure_processes
from harness.measure import measure
from harness.peers import OURS, PEERS, installed
from harness.pool import Pool
from harness.report import Method, Report
from suites import ORDER, load

SCHEMA = 1


def names(known: Any, what: str) -> Any:
    """An argparse type: a comma-separated list of known names."""

    def parse(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in found if name not in known]
        if unknown or not found:
            raise argparse.ArgumentTypeError(f"no {what} {', '.join(unknown) or '?'}; there are {', '.join(known)}")
        return found

    return parse


def thread_count(text: str) -> int:
    """An argparse type: from 1 to the number of cores."""
    if not text.isdecimal() or not 1 <= int(text) <= machine.cores():
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {machine.cores()}, the cores there are")
    return int(text)


def old_run(text: str) -> dict[str, Any]:
    """An argparse type: a file that --json has written."""
    try:
        found = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise argparse.ArgumentTypeError(f"{text} was not written by --json of this version")
    return found


def writable(text: str) -> Path:
    """An argparse type: a file in a folder that exists."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: no folder {path.parent}")
    return path


class Parser(argparse.ArgumentParser):
    """One clear line for a bad value, and exit code 2."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(prog="benchmarks/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--suite", type=names(ORDER, "suite"), default=list(ORDER), help="which suites: " + ", ".join(ORDER))
    p.add_argument("--peers", type=names(PEERS, "peer"), default=list(PEERS), help="which peers: " + ", ".join(PEERS))
    p.add_argument("--quick", action="store_true", help="smallest cases, few repeats, under a minute")
    p.add_argument("--slow", action="store_true", help="also torch.compile and compilations that take minutes")
    p.add_argument("--threads", type=thread_count, help="threads for every peer (default: all cores; 1 with --quick)")
    p.add_argument("--json", type=writable, metavar="FILE", help="write everything that was measured")
    p.add_argument("--markdown", action="store_true", help="print Markdown instead of the terminal table")
    p.add_argument("--plot", type=writable, metavar="FILE.png", help="draw bars and lines (needs matplotlib)")
    p.add_argument("--compare", type=old_run, metavar="OLD.json", help="mark what changed beyond the spread")
    return p


def run(
    options: argparse.Namespace, method: Method, report: Report, say: Any, only: dict[str, set[str]] | None = None
) -> None:
    """Every suite that was asked for; with `only`, these cases of these suites."""
    peers = [p for p in options.peers if not (method.quick and PEERS[p].ponderous)]
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder, Pool(method.threads, method.timeout) as pool:
        for name in options.suite if only is None else only:
            suite = load(name)
            absent = [package for package in suite.requires if not installed(package)]
            lacking = f"needs {', '.join(absent)}" if absent else suite.lacking()
            if lacking:
                report.skip(name, "", "", lacking)
                continue
            cases = only[name] if only else ()
            # Kernels are compiled anew for each suite, so that `first call` shows what a new installation costs.
            cache = None if method.quick else str(Path(folder) / name)
            if cache:
                pool.renew(OURS, cache)
            if suite.kind == "process":
                measure_processes(suite, peers, method, report, cache, say, cases)
            else:
                measure(suite, peers, method, report, pool, say, cases)


Changes = tuple[list[compare.Change], float]
"""What changed against an older run, and the drift of the machine since then."""
LOOKS = 2
"""How often a figure that seems slower is measured again."""


def compared(options: argparse.Namespace, method: Method, report: Report, say: Any) -> Changes:
    """The changes against the older run. Where wengert seems slower, it is measured again."""
    old = options.compare["results"]
    machine_drift = compare.drift(report.results, old)
    found = compare.changes(report.results, old, machine_drift)
    peers = [p for p in options.peers if p in (*OURS, "limit")]
    for _ in range(LOOKS):
        doubtful: dict[str, set[str]] = {}
        for change in found:
            if change.regression:
                doubtful.setdefault(change.suite, set()).add(change.case)
        if not doubtful:
            break
        say("slower at first sight; measured again:")
        again = Report()
        run(argparse.Namespace(**{**vars(options), "peers": peers}), method, again, say, doubtful)
        report.further_looks += again.results
        found = compare.confirmed(found, compare.changes(again.results, old, compare.drift(again.results, old)))
    return found, machine_drift


def document(
    options: argparse.Namespace, method: Method, report: Report, before: dict[str, Any], started: float
) -> dict[str, Any]:
    """What --json writes."""
    return {
        "schema": SCHEMA,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "method": asdict(method),
        "machine": before,
        "versions": machine.versions(),
        "commit": machine.commit(),
        "workers": report.workers,
        "seconds": round(time.perf_counter() - started),
        "spent": {suite: {k: round(v, 1) for k, v in spent.items()} for suite, spent in report.spent.items()},
        "about": {name: load(name).about.splitlines()[0].partition(": ")[2].rstrip(".;") for name in options.suite},
        "results": report.results,
        "further_looks": report.further_looks,
        "skipped": report.skipped,
        "mismatches": report.mismatches,
        "failures": report.failures,
    }


QUICK = {"rounds": 3, "batch": 0.001, "settle": 0.005, "budget": 0.2, "timeout": 60.0}
"""What --quick changes in the method."""


def main(arguments: list[str] | None = None) -> int:
    """Run, show, write; the exit code."""
    options = parser().parse_args(arguments)
    from rich.console import Console

    progress = Console(stderr=True, style="dim")

    def say(text: str) -> None:
        progress.print(text, highlight=False)

    if options.plot and not installed("matplotlib"):
        parser().error("--plot needs matplotlib")
    threads = options.threads or (1 if options.quick else machine.cores())
    method = Method(threads=threads, slow=options.slow, quick=options.quick, **(QUICK if options.quick else {}))
    report = Report()
    before = machine.machine()
    started = time.perf_counter()
    interrupted = False
    changes: Changes | None = None
    try:
        run(options, method, report, say)
        if options.compare:
            changes = compared(options, method, report, say)
    except KeyboardInterrupt:  # what has been measured so far is shown and written
        interrupted = True
    found = document(options, method, report, before, started)
    write(found, changes, options)
    if interrupted:
        return 130
    return 1 if report.failed else 3 if changes and any(c.regression for c in changes[0]) else 0


def write(found: dict[str, Any], changes: Changes | None, options: argparse.Namespace) -> None:
    """Everything that was asked for: table, comparison, files."""
    from rich.console import Console

    out = Console(width=None if sys.stdout.isatty() else 190)
    if options.markdown:
        print(page.markdown(found))
    else:
        page.terminal(found, out)
    if changes:
        compare.show(*changes, compare.differences(found, options.compare), out)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")
    if options.plot and found["results"]:
        from harness.plot import plot

        plot(found["results"], str(options.plot))


if __name__ == "__main__":
    sys.exit(main())
