"""The benchmark harness's own arithmetic. Nothing is timed and no other library is needed."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import readme_table
import run
from harness import agree, compare, stats, table
from harness.model import Case, Suite
from harness.peers import PEERS, environment
from harness.stats import Spread
from harness.worker import Worker
from suites import ORDER, load


def row(peer: str, median: float, **more: object) -> dict:
    return {"suite": "s", "case": "c", "peer": peer, "unit": "s", "median": median, "q1": 0.9 * median,
            "q3": 1.1 * median, "sweep": "", "params": {}, **more}  # fmt: skip


def test_spread_is_median_and_quartiles():
    assert stats.spread([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert stats.spread([2.0]) == Spread(2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="no samples"):
        stats.spread([])


def test_a_change_counts_only_beyond_the_spread():
    old = Spread(1.0, 0.9, 1.1)
    assert stats.verdict(stats.ratio(Spread(1.2, 1.0, 1.4), old)) == ""
    assert stats.verdict(stats.ratio(Spread(1.5, 1.4, 1.6), old)) == "slower"
    assert stats.verdict(stats.ratio(Spread(0.5, 0.4, 0.6), old)) == "faster"
    assert stats.verdict(Spread(1.05, 1.04, 1.06)) == "", "five percent may be another place in memory"


@pytest.mark.parametrize(
    ("ours_first", "ours", "theirs_first", "theirs", "words"),
    [
        (1.0, 1.0, 2.0, 2.0, "always"),
        (2.0, 2.0, 1.0, 1.0, "never"),
        (0.0, 2.0, 10.5, 1.0, "to 11"),
        (10.5, 1.0, 0.0, 2.0, "from 12"),
    ],
)
def test_break_even(ours_first, ours, theirs_first, theirs, words):
    assert stats.break_even(ours_first, ours, theirs_first, theirs) == words
    if words[-1].isdigit():  # the first call and N - 1 further ones

        def ahead(n: int) -> bool:
            return ours_first + (n - 1) * ours <= theirs_first + (n - 1) * theirs

        n = int(words.split()[1])
        assert ahead(n)
        assert not ahead(n + 1 if words.startswith("to") else n - 1)


def test_exponent_of_a_power_law():
    sizes = [10.0, 100.0, 1000.0]
    assert stats.exponent(sizes, [3e-6 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="two sizes"):
        stats.exponent([1.0], [1.0])


def test_times_in_words():
    assert [stats.in_words(t) for t in (2.5, 1.234e-3, 5.6789e-6, 4.2e-8, 0.0, None)] == [
        "2.50 s", "1.23 ms", "5.68 us", "42.0 ns", "0 ns", ""]  # fmt: skip
    assert stats.round_to(2816.0, 2) == "2800"


def test_rounds_fit_the_budget():
    assert stats.rounds_for(1e-3, 11, 10.0, least=3) == 11
    assert stats.rounds_for(2.0, 11, 10.0, least=3) == 5
    assert stats.rounds_for(60.0, 11, 10.0, least=3) == 3


def test_a_steady_peer_has_had_enough():
    assert stats.steady([1.0, 1.001, 0.999, 1.0, 1.002], 0.01)
    assert not stats.steady([1.0, 1.001, 0.999, 1.0], 0.01), "four samples are too few"
    assert not stats.steady([1.0, 1.1, 0.9, 1.05, 0.95], 0.01)


def test_distance():
    assert agree.distance([1.0, 2.0], [1.0, 2.0]) == 0
    assert agree.distance([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1)
    assert agree.distance([1.0], [1.0, 2.0]) == math.inf
    assert agree.distance([np.nan], [1.0]) == math.inf
    assert agree.distance([0.0], [0.0]) == 0


def test_disagreements_name_the_peer_and_the_place():
    results = {"wengert": [1.0, [2.0, 3.0]], "jax": [1.0, [2.0, 3.1]], "limit": [1.0, [2.0, 3.0]]}
    reference, far, lines = agree.disagreements(results, 1e-6, ["limit", "jax", "wengert"])
    assert reference == "limit"
    assert far["wengert"] == 0
    assert len(lines) == 1
    assert lines[0].startswith("jax differs from limit in gradient 1")


def test_inputs_are_changed_in_place_and_put_back():
    x, labels = np.array([2.0, 3.0]), np.array([0.0, 1.0])
    worker = Worker("wengert", 1)
    worker.arguments = (x, labels, 0.7)
    worker.call = lambda: (np.sum(x), 2.0 * labels)
    value, slope = worker.elsewhere()
    assert value == pytest.approx(1.01 * 5.0)
    assert slope.tolist() == [0.0, 2.0], "labels stay what they are"
    assert x.tolist() == [2.0, 3.0]


def test_a_reused_result_is_found_out():
    x, buffer = np.array([2.0, 3.0]), np.empty(2)
    worker = Worker("wengert", 1)
    worker.arguments = (x,)
    worker.call = lambda: (1.0, np.multiply(x, 2.0, out=buffer))
    with pytest.raises(RuntimeError, match="changed the result of the first"):
        worker.elsewhere()


def test_compare_takes_what_both_runs_have():
    new, old = [row("wengert", 2.0), row("jax", 1.0)], [row("wengert", 1.0)]
    (change,) = compare.changes(new, old, machine=1.0)
    assert (change.peer, change.verdict, change.change.median) == ("wengert", "slower", 2.0)
    assert change.regression


def test_compare_does_not_blame_the_library_for_the_machine():
    old = [row("wengert", 1.0), row("limit", 0.5), row("jax", 1.0)]
    new = [row("wengert", 2.0), row("limit", 1.0), row("jax", 8.0)]
    machine = compare.drift(new, old)
    assert machine == 2.0
    assert compare.changes([new[0]], [old[0]], 1.0)[0].regression
    assert not compare.changes(new, old, 1.0)[0].regression, "the derivative by hand in the same case was slow as well"
    ours, by_hand, jax = compare.changes(new, old, machine)
    assert (ours.verdict, by_hand.verdict, jax.verdict) == ("", "", "slower")
    assert not jax.regression, "another library that is slower is not our regression"


def test_a_regression_must_show_twice():
    slow, fine = row("wengert", 2.0), row("wengert", 1.02)
    old = [row("wengert", 1.0)]
    first, again = (compare.changes([r], old, 1.0) for r in (slow, fine))
    assert [c.regression for c in compare.confirmed(first, first)] == [True]
    (doubtful,) = compare.confirmed(first, again)
    assert not doubtful.regression
    assert doubtful.verdict.startswith("not confirmed")


def test_compare_says_what_else_differs():
    now = {"machine": {"processor": "p", "usable_cores": 2, "python": "3.11"}, "method": {"threads": 2}, "quick": False,
           "versions": {"numpy": "2.4"}}  # fmt: skip
    assert compare.differences(now, now) == []
    assert compare.differences(now, {**now, "method": {"threads": 1}}) == ["threads: 1 before, 2 now"]


def test_table_says_who_is_slower():
    lines = table.lines_of([row("wengert", 1.0), row("jax", 2.0), row("limit", 0.5), row("torch", 1.05)])
    assert [cells[4] for cells in lines] == ["", "2.0x faster", "2.0x slower", "1.1x (level)"]
    assert table.markdown([row("wengert", 1.0)]).count("\n") == 2


def test_table_fits_exponents():
    rows = [row("wengert", 1e-6 * n, sweep="rosen n", params={"n": n}) for n in (10, 100)]
    ((suite, parameter, peer, slope),) = table.exponents(rows)
    assert (suite, parameter, peer) == ("s", "rosen n", "wengert")
    assert slope == pytest.approx(1.0)


def test_readme_table_shows_losses(tmp_path):
    rows = [
        row("wengert", 1.0),
        row("jax", 0.5),
        {**row("wengert", 1.0), "case": "d"},
        {**row("jax", 2.0), "case": "d"},
    ]
    run_file = {"about": {"s": "what it is"}, "results": rows, "machine": {"processor": "p", "python": "3"},
                "versions": {"jax": "1"}, "quick": False,
                "commit": {"hash": "abc", "dirty": False}, "method": {"threads": 1}, "when": "2000-01-01"}  # fmt: skip
    source, readme = tmp_path / "run.json", tmp_path / "README.md"
    source.write_text(json.dumps(run_file))
    readme.write_text(f"before\n{readme_table.START}\nstale figures\n{readme_table.END}\nafter\n")
    assert readme_table.main([str(source), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale figures" not in text
    assert "ahead in 1 cases, level in 0, behind in 1." in text
    assert "| **s** | what it is | 1 / 0 / 1 | 1.0x |" in text
    assert "| **s** | c | 1.00 s | **0.50x** | **behind JAX 2.0x** |" in text
    assert "|  | d | 1.00 s | 2.0x | ahead 2.0x |" in text
    readme.write_text("no markers")
    assert readme_table.main([str(source), "--readme", str(readme)]) == 2


@pytest.mark.parametrize(
    "words", ["--suite nope", "--peers nope", "--threads 0", "--threads x", "--compare /nope", "-q"]
)
def test_bad_values_give_one_line_and_code_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        run.main(words.split())
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_workers_have_the_same_threads_and_no_forced_blas(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    env = environment(3)
    assert "OPENBLAS_CORETYPE" not in env
    assert env["OMP_NUM_THREADS"] == env["OPENBLAS_NUM_THREADS"] == env["NPROC"] == "3"


@pytest.mark.parametrize("name", ORDER)
def test_every_suite_loads_and_has_cases(name):
    suite = load(name)
    assert suite.name == name
    assert suite.about
    assert isinstance(suite.lacking(), str)
    peers = suite.builders if isinstance(suite, Suite) else suite.scripts
    assert set(peers) <= set(PEERS)
    assert "wengert" in peers
    assert "limit" in peers
    for quick in (True, False):
        names = [case.name for case in suite.cases(quick)]
        assert names
        assert len(set(names)) == len(names)


def test_a_case_gives_its_parameters_and_survives_the_pipe():
    import pickle

    case = pickle.loads(pickle.dumps(Case("c", {"n": 3}, "float32", without=("jax",))))
    assert (case.n, case.dtype, case.tolerance, case.without) == (3, "float32", 1e-3, ("jax",))
    with pytest.raises(AttributeError):
        case.m
