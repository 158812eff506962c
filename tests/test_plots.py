"""Plots show the numbers they are given, write the file they are asked for, and leave matplotlib as it was."""

import sys

import numpy as np
import pytest

from wengert import _figure, plots
from wengert.errors import DTypeError, MissingLibraryError, OptionError, ShapeError

matplotlib = pytest.importorskip("matplotlib")
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 200)
ANSWERS = np.where(RNG.random(200) < 0.7, LABELS, RNG.integers(0, 4, 200))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are made while a test runs."""
    made, make = [], _figure.figure
    monkeypatch.setattr(_figure, "figure", lambda *args, **kwargs: made.append(make(*args, **kwargs)) or made[-1])
    return made


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


CALLS = {
    "training": lambda path: plots.training(np.ones(300), np.ones(300), path=path),
    "predictions": lambda path: plots.predictions(np.ones(30), np.zeros(30), path=path),
    "confusion": lambda path: plots.confusion(LABELS, ANSWERS, path=path),
    "gradient_flow": lambda path: plots.gradient_flow(0.9 ** np.arange(30), path=path),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files(name, ending, start, tmp_path):
    path = CALLS[name](tmp_path / f"{name}.{ending}")
    assert path == tmp_path / f"{name}.{ending}"
    assert path.read_bytes().startswith(start)
    assert CALLS[name](str(path)) == path


@pytest.mark.parametrize("name", CALLS)
def test_matplotlib_stays_as_it_was(name, tmp_path):
    from matplotlib import pyplot

    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    CALLS[name](tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("name", CALLS)
def test_without_matplotlib_the_error_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingLibraryError, match=r"pip install matplotlib, or pip install 'wengert\[plot\]'") as info:
        CALLS[name](tmp_path / "a.png")
    assert isinstance(info.value, ImportError)


def test_training_curves(drawn, tmp_path):
    losses, norms = np.exp(-np.arange(500) / 100), np.linspace(1, 2, 500)
    checks = {"step": np.array([100.0, 200.0]), "loss": np.ones(2), "validation": np.array([0.5, 0.25])}
    plots.training(losses, norms, checks, path=tmp_path / "a.png")
    loss, norm = drawn[0].axes
    assert (loss.get_yscale(), norm.get_yscale()) == ("log", "log")
    assert lines(loss)["each step"].get_xdata().tolist() == list(range(1, 501))
    assert lines(loss)["each step"].get_ydata().tolist() == losses.tolist()
    assert lines(norm)["each step"].get_ydata().tolist() == norms.tolist()
    assert lines(loss)["validation"].get_xydata().tolist() == [[100, 0.5], [200, 0.25]]
    mean = lines(loss)["running mean"].get_ydata()
    np.testing.assert_allclose(mean[250], losses[245:256].mean())
    assert "validation" not in lines(norm)


def test_training_curves_that_a_logarithm_does_not_suit(drawn, tmp_path):
    plots.training([1.0, -0.5, 0.0], path=tmp_path / "a.png")
    assert [axes.get_yscale() for axes in drawn[0].axes] == ["linear"]
    plots.training([1.0, float("nan"), 0.5], path=tmp_path / "a.png")
    assert drawn[1].axes[0].get_yscale() == "log"
    plots.training([], path=tmp_path / "a.png")


def test_the_running_mean_leaves_out_what_is_not_finite(drawn, tmp_path):
    losses = np.ones(500)
    losses[250] = np.nan
    plots.training(losses, path=tmp_path / "a.png")
    assert lines(drawn[0].axes[0])["running mean"].get_ydata() == pytest.approx(1.0)


def test_training_refuses_other_shapes(tmp_path):
    with pytest.raises(ShapeError, match="3 losses, but 2 norms"):
        plots.training([1, 2, 3], [1, 2], path=tmp_path / "a.png")
    with pytest.raises(ShapeError, match=r"losses have shape \(2, 2\)"):
        plots.training(np.ones((2, 2)), path=tmp_path / "a.png")


def test_predictions(drawn, tmp_path):
    targets, outputs = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 3))
    plots.predictions(targets, outputs, path=tmp_path / "a.png", labels=["x", "y", "z"], start=7)
    assert len(drawn[0].axes) == 3
    for k, axes in enumerate(drawn[0].axes):
        assert lines(axes)["target"].get_ydata().tolist() == targets[:, k].tolist()
        assert lines(axes)["prediction"].get_ydata().tolist() == outputs[:, k].tolist()
        assert lines(axes)["prediction"].get_xdata().tolist() == list(range(7, 47))
        error = np.sqrt(np.mean((targets[:, k] - outputs[:, k]) ** 2))
        assert axes.get_title() == f"{'xyz'[k]}: root mean square error {error:.3g}"


def test_predictions_with_gaps_and_with_many_quantities(drawn, tmp_path):
    outputs = np.full((5, 2), np.nan)
    outputs[2:, 0] = 1.0
    plots.predictions(np.zeros((5, 2)), outputs, path=tmp_path / "a.png")
    assert [axes.get_title()[-3:] for axes in drawn[0].axes] == ["r 1", "nan"]
    plots.predictions(np.zeros((5, 9)), np.zeros((5, 9)), path=tmp_path / "a.png")
    assert len(drawn[1].axes) == 6


def test_predictions_refuse_what_does_not_fit(tmp_path):
    for a, b in ((np.ones(3), np.ones(4)), (np.ones(3), np.ones((3, 1))), (np.ones((2, 2, 2)),) * 2, (1.0, 1.0)):
        with pytest.raises(ShapeError, match=r"\(T,\)"):
            plots.predictions(a, b, path=tmp_path / "a.png")
    with pytest.raises(OptionError, match="2 labels for 1"):
        plots.predictions(np.ones(3), np.ones(3), labels=["a", "b"], path=tmp_path / "a.png")


def test_confusion_matrix_counts():
    matrix = plots.confusion_matrix(LABELS, ANSWERS)
    pairs = list(zip(LABELS.tolist(), ANSWERS.tolist(), strict=True))
    assert matrix.tolist() == [[pairs.count((right, said)) for said in range(4)] for right in range(4)]
    assert plots.confusion_matrix([True, False], [True, True]).tolist() == [[0, 1], [0, 1]]
    assert plots.confusion_matrix(np.array([[0, -1]]), np.array([[0, 3]])).tolist() == [[1]], "-1 is not counted"
    assert plots.confusion_matrix([0], [0], 3).shape == (3, 3)
    assert plots.confusion_matrix(np.array([], int), np.array([], int)).shape == (0, 0)
    metrics = pytest.importorskip("sklearn.metrics")
    assert matrix.tolist() == metrics.confusion_matrix(LABELS, ANSWERS).tolist()


def test_confusion_shows_counts_and_shares(drawn, tmp_path):
    matrix = plots.confusion_matrix(LABELS, ANSWERS)
    plots.confusion(LABELS, ANSWERS, classes=["a", "bb", "c", "d"], path=tmp_path / "a.png")
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), matrix / matrix.sum(axis=1, keepdims=True))
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text()) for t in axes.texts}
    assert shown == {(r, c): matrix[r, c] for r in range(4) for c in range(4) if matrix[r, c]}
    assert axes.get_title() == f"{np.mean(LABELS == ANSWERS):.1%} of 200 right"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "bb", "c", "d"]
    plots.confusion(np.arange(60), np.arange(60), path=tmp_path / "a.png")
    assert not drawn[1].axes[0].texts, "too many to be read"
    plots.confusion([-1], [0], path=tmp_path / "a.png", classes=2)
    assert drawn[2].axes[0].get_title() == "nothing to count"


def test_confusion_refuses_what_does_not_fit():
    with pytest.raises(DTypeError, match=r"answers are float64.*argmax"):
        plots.confusion_matrix([0, 1], [0.1, 0.9])
    with pytest.raises(ShapeError, match=r"\(2,\), answers \(3,\)"):
        plots.confusion_matrix([0, 1], [0, 1, 2])
    with pytest.raises(OptionError, match="2 classes"):
        plots.confusion_matrix([0, 1], [0, 2], 2)
    with pytest.raises(OptionError, match="-3"):
        plots.confusion_matrix([0, 1], [0, -3])


def test_gradient_flow(drawn, tmp_path):
    vanishing, still = 0.5 ** np.arange(40)[::-1], np.array([0.0, 1.0, 1.0])
    plots.gradient_flow({"tanh": vanishing, "still": still}, path=tmp_path / "a.png")
    (axes,) = drawn[0].axes
    assert axes.get_yscale() == "log"
    assert lines(axes)["tanh"].get_xydata().tolist() == [[t + 1, v] for t, v in enumerate(vanishing)]
    assert np.isnan(lines(axes)["still"].get_ydata()[0]), "no place for 0 on the scale"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["tanh", "still"]
    plots.gradient_flow(vanishing, path=tmp_path / "a.png")
    assert drawn[1].axes[0].get_legend() is None
    with pytest.raises(ShapeError, match="tanh have shape"):
        plots.gradient_flow({"tanh": np.ones((2, 2))}, path=tmp_path / "a.png")
