"""Handwritten digits told apart by a feedforward network: Adam, early stopping, a confusion matrix.

The 1797 images of 8 by 8 pixels in scikit-learn (Alpaydin & Kaynak 1998), 360 of them held out for the test. The
network is 64 - 128 - 64 - 10 with relu. The training images are shifted by up to a pixel at random, so that there are
nine times as many; training stops where the loss on a validation set falls no more.

    python examples/digits.py --out pictures
"""

import sys

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn, optim, train

try:
    from sklearn.datasets import load_digits
except ModuleNotFoundError:
    sys.exit("the images come with scikit-learn: pip install 'wengert[examples]'")

SIDE, TEST, VALIDATION = 8, 360, 160


def data(rng):
    """Images in [0, 1] of shape (n, 64) and digits (n,), for training, validation and test."""
    found = load_digits()
    order = rng.permutation(len(found.target))
    images, digits = (found.data[order] / 16).astype(np.float32), found.target[order]
    cuts = [TEST, TEST + VALIDATION]
    test, validation, training = zip(np.split(images, cuts), np.split(digits, cuts))
    return training, validation, test


def shifted(images, digits):
    """Each image nine times: moved by -1, 0 or 1 pixel in both directions."""
    wide = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    moved = [wide[:, i : i + SIDE, j : j + SIDE] for i in range(3) for j in range(3)]
    return np.concatenate(moved).reshape(-1, SIDE * SIDE), np.tile(digits, 9)


def loss(model, batch):
    images, digits = batch
    return nn.softmax_cross_entropy(model(images), digits)


def accuracy(model, batch):
    images, digits = batch
    return np.mean(np.argmax(model(images), axis=1) == digits)


def learn(rng, training, validation, quick):
    first, second = (nn.Dense.init(rng, *sizes, weights=nn.he_normal) for sizes in ((64, 128), (128, 64)))
    model = nn.Sequential([first, nn.relu, second, nn.relu, nn.Dense.init(rng, 64, 10)])
    found = train.fit(
        loss,
        model,
        training if quick else shifted(*training),
        optim.adam(2e-3),
        epochs=8 if quick else 60,
        batch_size=64,
        validation=validation,
        metrics=[accuracy],
        early_stopping=10,
        progress=False,
    )
    print(
        f"{found.reason}: {found.steps} steps in {found.seconds:.1f} s, best validation loss at step {found.best_step}"
    )
    return found


def draw(found, model, images, digits):
    figure, (left, middle, right) = panels(3, width=4.6)
    checks = found.checks
    left.plot(checks["step"], checks["loss"], label="training")
    left.plot(checks["step"], checks["validation"], label="validation")
    left.axvline(found.best_step, color="grey", linestyle=":", label="lowest validation loss")
    left.set(xlabel="step", ylabel="cross entropy", yscale="log", title="loss")
    left.legend()
    left.grid(alpha=0.3)

    answers = np.argmax(model(images), axis=1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (digits, answers), 1)
    middle.imshow(np.sqrt(counts), cmap="Blues")
    for i, j in np.argwhere(counts):
        middle.text(j, i, counts[i, j], ha="center", va="center", color="white" if i == j else "tab:red", fontsize=9)
    middle.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10), title="test images")

    chances = nn.softmax(model(images))
    doubtful = np.argsort(chances[np.arange(len(digits)), digits])[:12]  # by the chance given to what is right
    tiles = np.pad(images[doubtful].reshape(3, 4, SIDE, SIDE), ((0, 0), (0, 0), (1, 2), (1, 1)))
    right.imshow(tiles.transpose(0, 2, 1, 3).reshape(3 * (SIDE + 3), 4 * (SIDE + 2)), cmap="gray_r")
    for k, image in enumerate(doubtful):
        text, colour = f"{digits[image]}", "black"
        if answers[image] != digits[image]:
            text, colour = f"{digits[image]}, read as {answers[image]}", "tab:red"
        x, y = k % 4 * (SIDE + 2) + 4.5, k // 4 * (SIDE + 3) + 9.6
        right.text(x, y, text, ha="center", va="center", color=colour, fontsize=7)
    right.axis("off")
    right.set_title("the most doubtful")
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0)
    rng = np.random.default_rng(asked.seed)
    training, validation, test = data(rng)
    found = learn(rng, training, validation, asked.quick)
    best = wengert.jit(found.best)
    parts = {"training": training, "validation": validation, "test": test}
    print("accuracy:", ", ".join(f"{name} {accuracy(best, part):.4f}" for name, part in parts.items()))
    save(draw(found, best, *test), asked.out, "digits.png")


if __name__ == "__main__":
    main()
