"""The sequence tasks: what they draw, what they want, and what the trivial predictor reaches."""

import dataclasses
import itertools
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad

import wengert
from wengert import tasks
from wengert.tasks.logic import depth_moments
from wengert.tasks.series import Series
from wengert.tasks.spec import average

NAMES = ("adding", "copy", "recall", "order", "parity", "brackets", "echo", "sine", "mackey-glass", "sunspots",
         "digits", "text")  # fmt: skip
MODULES = {"scikit-learn": "sklearn", "statsmodels": "statsmodels"}
both_floats = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_task = pytest.mark.parametrize("name", NAMES)


def task_of(name):
    task = tasks.get(name)
    if task.requires:
        pytest.importorskip(MODULES[task.requires])
    return task


def rng(seed=0):
    return np.random.default_rng(seed)


def draw(name, batch=50, seq_len=None, seed=0, split="train", dtype=np.float64):
    return task_of(name).batch(rng(seed), batch, seq_len, dtype, split)


# --- every task --------------------------------------------------------------------------------------------------


def test_the_registry_has_them_all():
    assert tuple(tasks.REGISTRY) == NAMES
    for name, task in tasks.REGISTRY.items():
        assert task.name == name
        assert tasks.get(name) is task
        assert task.summary
        assert task.source
        assert task.published
        assert "\n" not in task.summary


def test_the_registry_and_its_tasks_are_read_only():
    with pytest.raises(TypeError):
        tasks.REGISTRY["adding"] = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        tasks.get("adding").seq_len = 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ading", "did you mean 'adding'"),
        ("mackey", "'mackey-glass'"),
        ("Parity", "'parity'"),
        ("zzz", "There are: adding, copy"),
    ],
)
def test_an_unknown_name_gets_a_hint(name, words):
    with pytest.raises(ValueError, match=words):
        tasks.get(name)


@both_floats
@pytest.mark.parametrize("split", ["train", "test"])
@every_task
def test_shapes_and_dtypes(name, split, dtype):
    task = task_of(name)
    xs, targets, mask = batch = task.batch(rng(), 7, dtype=dtype, split=split)
    steps = task.seq_len
    assert xs.shape == (steps, 7, task.n_in)
    assert xs.dtype == dtype
    assert np.isfinite(xs).all()
    if task.loss == "mse":
        assert targets.shape == ((steps, 7, task.n_out) if task.per_step else (7, task.n_out))
        assert targets.dtype == dtype
    else:
        assert targets.shape == ((steps, 7) if task.per_step else (7,))
        assert targets.dtype == np.int64
        assert targets.min() >= 0
        assert targets.max() < task.n_out
    if mask is not None:
        assert mask.shape == (steps, 7)
        assert mask.dtype == dtype
        assert set(np.unique(mask)) == {0, 1}
    shown = task.describe(batch, limit=3)
    assert len(shown.rows) == 3
    assert all(len(row) == len(shown.columns) and all(row) for row in shown.rows)


@every_task
def test_a_seed_gives_the_same_batch_and_another_one_another(name):
    first, again, other = (draw(name, 5, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.xs, other.xs)


@every_task
def test_batches_of_one_seed_differ(name):
    task, source = task_of(name), rng(1)
    assert not np.array_equal(task.batch(source, 5).xs, task.batch(source, 5).xs)


@both_floats
@every_task
def test_a_batch_does_not_depend_on_its_dtype(name, dtype):
    exact, found = draw(name, 4, dtype=np.float64), draw(name, 4, dtype=dtype)
    assert np.allclose(found.xs, exact.xs, atol=1e-6)
    assert np.allclose(found.targets, exact.targets, atol=1e-6)


@every_task
def test_drawing_leaves_the_data_as_they_are(name):
    first = draw(name, 6)
    for part in first:
        if part is not None:
            part[...] = 99
    assert not (draw(name, 6).xs == 99).any()


BAD = [
    ({"batch": 0}, ValueError, "batch must be at least 1, not 0"),
    ({"batch": 2.0}, TypeError, "batch must be a whole number, not 2.0"),
    ({"batch": True}, TypeError, "batch must be a whole number"),
    ({"seq_len": 0}, ValueError, r"seq_len of \S+ must be at least \d+, not 0"),
    ({"seq_len": "ten"}, TypeError, "seq_len must be a whole number, not 'ten'"),
    ({"dtype": np.float16}, TypeError, "float32 or float64"),
    ({"dtype": "int64"}, TypeError, "float32 or float64, not 'int64'"),
    ({"dtype": "floaty"}, TypeError, "float32 or float64, not 'floaty'"),
    ({"rng": 3}, TypeError, r"np.random.default_rng\(0\), not a int"),
    ({"split": "val"}, ValueError, '"train" or "test", not \'val\''),
]


@pytest.mark.parametrize(("bad", "kind", "words"), BAD, ids=str)
@every_task
def test_bad_requests_are_refused(name, bad, kind, words):
    with pytest.raises(kind, match=words):
        tasks.get(name).batch(**{"rng": rng(), "batch": 2} | bad)


@every_task
def test_the_shortest_length_works_and_one_less_does_not(name):
    task = task_of(name)
    assert task.batch(rng(), 3, task.min_len).xs.shape == (task.min_len, 3, task.n_in)
    with pytest.raises(ValueError, match=f"at least {task.min_len}"):
        task.batch(rng(), 3, task.min_len - 1)


@pytest.mark.parametrize(
    ("name", "seq_len", "words"),
    [
        ("brackets", 7, "even.*take 8"),
        ("digits", 9, "must be 8"),
        ("mackey-glass", 5000, "at most 494"),
        ("text", 10**9, "too long"),
    ],
)
def test_lengths_that_a_task_cannot_have(name, seq_len, words):
    with pytest.raises(ValueError, match=words):
        draw(name, 2, seq_len)


@pytest.mark.parametrize(("name", "module"), [("digits", "sklearn"), ("sunspots", "statsmodels")])
def test_a_missing_package_is_named(name, module, monkeypatch):
    from wengert.tasks import spec

    def missing(what):
        raise ModuleNotFoundError(f"No module named {what!r}", name=what)

    monkeypatch.setattr(spec, "import_module", missing)
    package = tasks.get(name).requires
    with pytest.raises(ModuleNotFoundError, match=rf"{name}.*pip install {package}.*wengert\[examples\]"):
        spec.installed(module, name, package)


def test_a_batch_is_a_pytree():
    batch = draw("echo", 3, dtype=np.float32)
    loss = wengert.jit(lambda b: np.sum(np.square(b.targets[:, :, 0]) * b.mask) / np.sum(b.mask))
    assert float(loss(batch)) == pytest.approx(tasks.get("echo").score(np.zeros_like(batch.targets), batch), rel=1e-5)
    assert wengert.jit(lambda b: np.sum(b.xs))(draw("adding", 3)) == pytest.approx(draw("adding", 3).xs.sum())


# --- scores ------------------------------------------------------------------------------------------------------


def outputs_for(task, batch, seed=5):
    steps = batch.xs.shape[:1] if task.per_step else ()
    return rng(seed).normal(size=(*steps, batch.xs.shape[1], task.n_out))


def naive_score(task, outputs, batch):
    """The mean over all steps that count, one after another."""
    values = []
    places = np.ndindex(outputs.shape[:-1])
    for place in places:
        if batch.mask is not None and not batch.mask[place]:
            continue
        if task.scored_steps and place[0] < len(outputs) - task.scored_steps:
            continue
        answer, target = outputs[place], batch.targets[place]
        if task.score_name == "mse":
            values.append(np.mean((answer - target) ** 2))
        elif task.score_name == "accuracy":
            values.append(float(max(range(task.n_out), key=lambda c: answer[c]) == target))
        else:
            values.append(-math.log2(math.exp(answer[target]) / sum(math.exp(a) for a in answer)))
    return np.mean(values)


@every_task
def test_score_is_the_mean_over_what_counts(name):
    task, batch = task_of(name), draw(name, 6)
    outputs = outputs_for(task, batch)
    assert task.score(outputs, batch) == pytest.approx(naive_score(task, outputs, batch), rel=1e-12)


@every_task
def test_right_answers_solve_a_task_and_trivial_ones_do_not(name):
    task, batch = task_of(name), draw(name, 6)
    right = batch.targets if task.loss == "mse" else 50 * np.eye(task.n_out)[batch.targets]
    assert task.is_solved(task.score(right, batch))
    assert not task.is_solved(task.trivial())
    assert task.higher_is_better == (task.score_name == "accuracy")


@every_task
def test_outputs_of_another_shape_are_refused(name):
    task, batch = task_of(name), draw(name, 6)
    outputs = outputs_for(task, batch)
    for wrong in (outputs[..., :0], outputs[:-1], outputs[0], outputs[None]):
        with pytest.raises(ValueError, match=r"outputs must have the shape"):
            task.score(wrong, batch)


@every_task
def test_description_with_answers_has_a_column_more(name):
    task, batch = task_of(name), draw(name, 2)
    plain, full = task.describe(batch), task.describe(batch, outputs_for(task, batch))
    assert full.columns[: len(plain.columns)] == plain.columns
    assert len(full.columns) > len(plain.columns)
    assert [row[: len(plain.columns)] for row in full.rows] == plain.rows


# --- what the trivial predictor reaches --------------------------------------------------------------------------


def guess(task, batch):
    """Logits at random: every class is as likely (a blank is not asked for where copying is scored)."""
    outputs = outputs_for(task, batch, seed=int(batch.xs.sum() * 1000) % 2**31)
    return outputs - 100 * (np.arange(task.n_out) == 8) if task.name == "copy" else outputs


def constant(value):
    return lambda task, batch: np.full_like(batch.targets, value)


TRIVIAL = {
    "adding": constant(1.0),
    "copy": guess,
    "recall": guess,
    "order": guess,
    "parity": guess,
    "brackets": lambda task, batch: np.full_like(batch.targets, depth_moments(len(batch.xs))[0]),
    "echo": constant(0.0),
    "sine": constant(0.0),
    "mackey-glass": lambda task, batch: batch.xs,
    "sunspots": lambda task, batch: batch.xs,
    "digits": guess,
    "text": lambda task, batch: np.broadcast_to(
        np.log(frequencies_of_training_text()), (*batch.targets.shape, task.n_out)
    ),
}


@cache
def frequencies_of_training_text():
    train = tasks.text()[: round(0.9 * len(tasks.text()))]
    counts = Counter(train)
    shares = np.array([counts[c] + 1 for c in tasks.VOCABULARY])
    return shares / shares.sum()


@pytest.mark.parametrize("seq_len", [None, 26])
@every_task
def test_trivial_score_by_monte_carlo(name, seq_len):
    task = task_of(name)
    seq_len = None if name == "digits" else seq_len
    source, scores = rng(7), []
    for _ in range(200):
        batch = task.batch(source, 4 if name == "text" else 32, seq_len, np.float64, "test")
        scores.append(task.score(TRIVIAL[name](task, batch), batch))
    error = np.std(scores) / np.sqrt(len(scores))
    assert np.mean(scores) == pytest.approx(task.trivial(seq_len), abs=4 * error + 1e-12)
    assert error < 0.05 * task.trivial(seq_len)


UNIFORM = ("recall", "order", "parity", "digits")


@every_task
def test_trivial_loss(name):
    """Mean squared errors are their own loss; uniform classes cost log n; the others are recomputed."""
    task = task_of(name)
    if task.loss == "mse":
        assert task.trivial_loss() == task.trivial()
    elif name in UNIFORM:
        assert task.trivial_loss() == pytest.approx(math.log(task.n_out))
        assert task.trivial() == pytest.approx(1 / task.n_out)
    elif name == "text":
        assert task.trivial_loss() == pytest.approx(task.trivial() * math.log(2))
    else:
        assert name == "copy"
        assert task.trivial_loss(120) == pytest.approx(10 * math.log(8) / (100 + 20))  # Arjovsky et al., T = 100
        assert task.trivial() == 1 / 8


# --- adding, copy, recall, order, echo ---------------------------------------------------------------------------


def test_adding():
    xs, targets, _ = draw("adding", 60, 11)
    for k in range(60):
        first, second = (t for t in range(11) if xs[t, k, 1] == 1)
        assert first < 5 <= second
        assert targets[k, 0] == pytest.approx(xs[first, k, 0] + xs[second, k, 0])
        assert set(xs[:, k, 1]) == {0.0, 1.0}
    assert 0 <= xs[:, :, 0].min() < xs[:, :, 0].max() < 1


def test_the_adding_function_draws_what_the_task_draws():
    found = tasks.adding(rng(2), 4, 9, np.float64)
    assert len(found) == 2
    assert all(np.array_equal(a, b) for a, b in zip(found, draw("adding", 4, 9, seed=2), strict=False))
    with pytest.raises(ValueError, match="seq_len of adding must be at least 2, not 1"):
        tasks.adding(rng(), 4, 1)
    with pytest.raises(TypeError, match="float32 or float64"):
        tasks.adding(rng(), 4, 8, np.int32)


def test_copy_memory():
    xs, targets, mask = draw("copy", 40, 37)
    assert mask is None
    ids = xs.argmax(axis=-1)
    assert (xs.sum(axis=-1) == 1).all()
    for k in range(40):
        word = list(ids[:10, k])
        assert all(0 <= s < 8 for s in word)
        assert list(ids[10:, k]) == [8] * 16 + [9] + [8] * 10
        assert list(targets[:, k]) == [8] * 27 + word
    assert set(ids[:10].ravel()) == set(range(8))


def test_copy_memory_has_settings():
    task = tasks.copy_memory_task(length=2, symbols=3)
    assert (task.n_in, task.n_out, task.min_len) == (5, 4, 5)
    batch = task.batch(rng(), 8, 9)
    assert batch.targets[-2:].max() <= 2
    assert task.trivial() == pytest.approx(1 / 3)
    assert task.trivial_loss(9) == pytest.approx(2 * math.log(3) / 9)


def test_delayed_recall():
    xs, targets, _ = draw("recall", 400, 40)
    assert (xs[0] == np.eye(4)[targets]).all()
    noise = xs[1:]
    assert noise.mean() == pytest.approx(0, abs=4 * math.sqrt(0.2 / noise.size))
    assert noise.var() == pytest.approx(0.2, abs=4 * 0.2 * math.sqrt(2 / noise.size))
    assert tasks.delayed_recall_task(symbols=7).batch(rng(), 5).xs.shape == (20, 5, 7)


@pytest.mark.parametrize(("relevant", "places"), [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])])
def test_temporal_order(relevant, places):
    task = tasks.temporal_order_task(relevant)
    assert (task.n_in, task.n_out) == (8, 2**relevant)
    xs, targets, _ = task.batch(rng(), 500, 100)
    words = ["".join("EBabcdXY"[i] for i in xs[:, k].argmax(axis=-1)) for k in range(500)]
    classes = ["".join(w) for w in itertools.product("XY", repeat=relevant)]
    seen = [set() for _ in places]
    for word, target in zip(words, targets, strict=True):
        assert word[0] == "E"
        assert word[-1] == "B"
        assert set(word[1:-1]) <= set("abcdXY")
        where = [t for t, c in enumerate(word) if c in "XY"]
        assert "".join(word[t] for t in where) == classes[target]
        for t, found in zip(where, seen, strict=True):
            found.add(t)
    for (low, high), found in zip(places, seen, strict=True):
        assert found == set(range(low, high + 1))


@pytest.mark.parametrize("seq_len", range(10, 40))
def test_temporal_order_fits_every_length(seq_len):
    for relevant in (2, 3):
        ids = tasks.temporal_order_task(relevant).batch(rng(), 200, seq_len).xs.argmax(axis=-1)
        assert ((ids >= 6).sum(axis=0) == relevant).all()
        assert (ids[-1] == 1).all()
    with pytest.raises(ValueError, match="2 or 3, not 4"):
        tasks.temporal_order_task(4)


@pytest.mark.parametrize("delay", [1, 3, 8])
def test_echo(delay):
    xs, targets, mask = tasks.echo_task(delay).batch(rng(), 6, 20, np.float64)
    for t in range(20):
        assert (mask[t] == (t >= delay)).all()
        if t >= delay:
            assert (targets[t] == xs[t - delay]).all()
    assert -0.5 <= xs.min() < xs.max() < 0.5
    with pytest.raises(ValueError, match="delay must be at least 1"):
        tasks.echo_task(0)


# --- parity, brackets --------------------------------------------------------------------------------------------


def test_parity():
    xs, targets, _ = draw("parity", 40, 15)
    for k in range(40):
        odd = False
        for t in range(15):
            odd ^= bool(xs[t, k, 0])
            assert targets[t, k] == odd
    assert xs.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(xs.size))


def words_of(length):
    """All balanced words, by trying every word."""
    for word in itertools.product("()", repeat=length):
        depths = list(itertools.accumulate(1 if c == "(" else -1 for c in word))
        if min(depths) == 0 == depths[-1]:
            yield "".join(word), depths


def test_brackets():
    xs, targets, _ = draw("brackets", 50, 24)
    for k in range(50):
        depth = 0
        for t in range(24):
            depth += 1 if xs[t, k, 0] == 1 else -1
            assert depth >= 0
            assert targets[t, k, 0] == depth
        assert depth == 0


def test_all_balanced_words_are_equally_likely():
    count, xs = 14_000, draw("brackets", 14_000, 8).xs
    found = Counter("".join("()"[i] for i in xs[:, k].argmax(axis=-1)) for k in range(count))
    words = [word for word, _ in words_of(8)]
    assert set(found) == set(words)
    expected = count / len(words)
    squares = sum((found[w] - expected) ** 2 / expected for w in words)
    assert squares < 34.5  # chi squared of 13 degrees of freedom, 0.1 %


@pytest.mark.parametrize("length", [2, 4, 8, 12])
def test_depth_moments_by_enumeration(length):
    depths = np.array([d for _, d in words_of(length)])
    assert depth_moments(length) == pytest.approx((depths.mean(), depths.var()), rel=1e-12)


def test_mean_depth_in_closed_form():
    n = 60
    catalan = math.comb(2 * n, n) // (n + 1)
    assert depth_moments(2 * n)[0] == pytest.approx((4**n - math.comb(2 * n + 1, n)) / (2 * n * catalan), rel=1e-10)


# --- series ------------------------------------------------------------------------------------------------------


def test_sine():
    xs, targets, mask = draw("sine", 300, 60)
    series = np.concatenate([xs, targets[-5:]])[:, :, 0]
    assert np.allclose(series[5:], targets[:, :, 0])
    middle = series[1:-1]
    cosine = (series[2:] + series[:-2])[np.abs(middle) > 0.5] / (2 * middle[np.abs(middle) > 0.5])
    periods = 2 * np.pi / np.arccos(cosine)
    assert periods.min() == pytest.approx(10, rel=0.03)
    assert periods.max() == pytest.approx(50, rel=0.1)
    assert (mask.sum(axis=0) == 58).all()
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        tasks.sine_task(0)


def test_two_terms_forecast_a_sine_exactly():
    task = tasks.sine_task(horizon=1)
    batch = task.batch(rng(), 20, 30, np.float64)
    x = batch.xs[:, :, 0]
    outputs = np.zeros_like(batch.targets)
    for k in range(20):
        for t in range(2, 30):
            first = x[t - 1, k] if abs(x[t - 1, k]) > 1e-6 else np.nan
            outputs[t, k, 0] = (x[t, k] + x[t - 2, k]) / first * x[t, k] - x[t - 1, k]
    assert np.isfinite(outputs).all()
    assert task.score(outputs, batch) < 1e-10


def test_mackey_glass_in_its_first_two_delays():
    """Before the feedback sets in the decay is exponential; after it, an integral over that."""
    x = tasks.mackey_glass(35, substeps=8)
    first = lambda t: 1.2 * math.exp(-0.1 * t)
    drive = lambda s: 0.2 * first(s) / (1 + first(s) ** 10)
    for t in range(18):
        assert x[t] == pytest.approx(first(t), rel=1e-9)
    for t in range(18, 35):
        fed, _ = quad(lambda s: math.exp(-0.1 * (t - 17 - s)) * drive(s), 0, t - 17, epsabs=1e-12)
        assert x[t] == pytest.approx(first(17) * math.exp(-0.1 * (t - 17)) + fed, rel=1e-7)


def test_mackey_glass_is_integrated_in_fourth_order():
    exact = tasks.mackey_glass(121, substeps=64)
    errors = [abs(tasks.mackey_glass(121, substeps=n) - exact).max() for n in (2, 4, 8)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.25)


def test_mackey_glass_fixed_point_and_settings():
    """For tau = 2 the delay is too short for oscillations: the solution goes to 1."""
    assert tasks.mackey_glass(800, tau=2.0)[-1] == pytest.approx(1, abs=1e-9)
    with pytest.raises(ValueError, match="multiple of the step 1/10"):
        tasks.mackey_glass(10, tau=1.23)


def test_mackey_glass_task_is_the_published_split():
    x = tasks.mackey_glass(1118)[118:]
    x = (x - x.mean()) / x.std()
    task = tasks.get("mackey-glass")
    for split, first, last in (("train", 0, 499), ("test", 500, 999)):
        xs, targets, mask = task.batch(rng(), 3000, 40, np.float64, split)
        starts = np.abs(xs[0, :, 0][:, None] - x).argmin(axis=1)
        for t in range(40):
            assert np.allclose(xs[t, :, 0], x[starts + t])
            assert np.allclose(targets[t, :, 0], x[starts + t + 6])
            assert (mask[t] == (t >= 18)).all()
        assert starts.min() + 18 + 6 == (first if split == "test" else 24)
        assert starts.max() + 39 + 6 == last


def test_windows_of_a_series():
    series = Series(np.arange(100.0), cut=60, horizon=2, warmup=3)
    assert series.starts(10, "train") == range(49)
    assert series.starts(10, "test") == range(55, 89)
    xs, targets, mask = series.windows([55, 88], 10, np.float32)
    assert targets[3, 0, 0] == 60
    assert targets[-1, 1, 0] == 99
    assert (targets == xs + 2).all()
    assert mask.sum() == 14
    assert series.persistence(10).score == 4
    with pytest.raises(ValueError, match="too long for the train part: at most 58"):
        series.starts(59, "train")


def test_sunspots_are_the_published_comparison():
    """A linear autoregression of order 12, fitted on 1700 to 1920, has an average relative variance of 0.13."""
    task = task_of("sunspots")
    assert len(set(task.batch(rng(), 20, split="test").xs[0].ravel())) == 1  # one window: all 35 years of the test
    xs, targets, mask = task.batch(rng(), 1, None, np.float64, "test")
    assert mask.sum() == 35
    x, _, _ = task.batch(rng(), 3000, 25, np.float64)
    lags = np.concatenate([x[k : k + 12, :, 0] for k in range(13)], axis=1).T
    wanted = np.concatenate([x[k + 12, :, 0] for k in range(13)])
    weights = np.linalg.lstsq(np.column_stack([lags, np.ones(len(lags))]), wanted, rcond=None)[0]
    outputs = np.zeros_like(targets)
    for t in range(11, 46):
        outputs[t, 0, 0] = xs[t - 11 : t + 1, 0, 0] @ weights[:12] + weights[12]
    assert task.score(outputs, task.batch(rng(), 1, None, np.float64, "test")) == pytest.approx(0.13, abs=0.01)


# --- digits ------------------------------------------------------------------------------------------------------


def test_digits():
    images = pytest.importorskip("sklearn.datasets").load_digits()
    whole = {image.tobytes(): digit for image, digit in zip(images.images, images.target, strict=True)}
    seen = {}
    for split in ("train", "test"):
        xs, targets, _ = draw("digits", 3000, split=split)
        rows = (xs.transpose(1, 0, 2) * 16).copy()
        for image, digit in zip(rows, targets, strict=True):
            assert whole[image.tobytes()] == digit
        seen[split] = {image.tobytes() for image in rows}
    assert not seen["train"] & seen["test"]
    assert len(seen["test"]) > 350


# --- text --------------------------------------------------------------------------------------------------------


def test_text_is_cleaned_english():
    text = tasks.text()
    assert len(text) > 300_000
    assert set(text) <= set(tasks.VOCABULARY)
    assert len(tasks.VOCABULARY) == len(set(tasks.VOCABULARY)) == 96
    assert "\n\n\n" not in text
    assert "  " not in text
    assert all(any(c.isalnum() for c in line) for line in text.split("\n") if line)
    assert text.count(" the ") > 2000


def test_encode_and_decode_are_inverse():
    text = tasks.text()[:5000] + "".join(tasks.VOCABULARY)
    ids = tasks.encode(text)
    assert ids.dtype == np.int64
    assert tasks.decode(ids) == text
    assert tasks.encode("").shape == (0,)
    assert tasks.decode(tasks.encode("“it’s”\t—…")) == '"it\'s" -...'
    with pytest.raises(ValueError, match=r"not in the vocabulary.*'ß' 'é'"):
        tasks.encode("Straße é")


def test_text_windows_lie_in_their_part():
    text, task = tasks.text(), tasks.get("text")
    cut = round(0.9 * len(text))
    for split, part in (("train", text[:cut]), ("test", text[cut:])):
        xs, targets, mask = task.batch(rng(), 40, 50, split=split)
        assert mask is None
        for k in range(40):
            window = tasks.decode(xs[:, k].argmax(axis=-1)) + tasks.decode(targets[-1:, k])
            assert window in part
            assert tasks.decode(targets[:, k]) == window[1:]


@pytest.mark.parametrize("order", [0, 2])
def test_entropy(order):
    text = tasks.text()
    blocks = []
    for length in (order, order + 1):
        counts = Counter(text[k : k + length] for k in range(len(text) - max(length - 1, 0)))
        total = sum(counts.values())
        blocks.append(-sum(n / total * math.log2(n / total) for n in counts.values()))
    assert tasks.entropy(order) == pytest.approx(blocks[1] - blocks[0], rel=1e-9)


def test_drawn_characters_follow_the_logits():
    logits = np.log([0.5, 0.25, 0.25])
    source = rng()
    for temperature, first in ((1.0, 0.5), (0.5, 0.25 / 0.375)):
        found = np.mean([tasks.draw_character(source, logits, temperature) == 0 for _ in range(4000)])
        assert found == pytest.approx(first, abs=4 * math.sqrt(first * (1 - first) / 4000))
    assert {tasks.draw_character(source, [0.0, 1.0, 0.9], 0) for _ in range(20)} == {1}
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        tasks.draw_character(source, logits, -1)
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        tasks.draw_character(source, logits, float("nan"))


def test_average_counts_what_the_mask_says():
    values, mask = np.array([[1.0, 5.0], [3.0, 100.0]]), np.array([[1, 1], [1, 0]])
    assert average(values, mask) == 3
    assert average(values, None) == 27.25
