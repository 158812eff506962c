"""A recurrent network learns to write English, character by character (Sutskever, Martens & Hinton 2011).

The text is Python's own reference manual, which every Python carries. Letters become vectors by an embedding, a GRU
reads them, a linear layer gives the logits of the next letter. Printed are samples on the way; drawn are the bits a
character on text that was held out, against what frequencies of letters alone would need, and where the network is
surprised by that text.

    python examples/char_rnn.py --out pictures
"""

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn, optim, tasks, train

LENGTH, BATCH = 64, 32
LETTERS = len(tasks.VOCABULARY)
BITS = 1 / np.log(2)


class Writer(nn.Module):
    letters: nn.Embedding
    memory: nn.GRU
    readout: nn.Dense

    @classmethod
    def init(cls, rng, hidden):
        return cls(
            nn.Embedding.init(rng, LETTERS, 32), nn.GRU.init(rng, 32, hidden), nn.Dense.init(rng, hidden, LETTERS)
        )

    def onward(self, carry, ids):
        """Logits of the letter after each of ids, (time, batch), and the carry to go on with."""
        carry, ys = self.memory.over_time(self.letters(ids), carry)
        return carry, self.readout(ys)


def loss(model, batch):
    _, logits = model.onward(None, batch[:-1])
    return nn.softmax_cross_entropy(logits, batch[1:])


def windows(ids, count):
    """Draws pieces of the text, one letter longer than what the network reads."""
    return lambda rng: ids[rng.integers(0, len(ids) - LENGTH, count) + np.arange(LENGTH + 1)[:, None]]


def write(model, start, length, temperature, seed):
    """Let the network write: each letter that it chooses is its next input."""
    onward = wengert.jit(lambda model, carry, ids: model.onward(carry, ids))
    rng = np.random.default_rng(seed)
    carry, logits = model.onward(None, tasks.encode(start)[:, None])
    text = start
    for _ in range(length):
        letter = tasks.draw_character(rng, logits[-1, 0], temperature)
        text += tasks.VOCABULARY[letter]
        carry, logits = onward(model, carry, np.full((1, 1), letter))
    return text


def report(at, asked):
    print(f"--- step {at.step}: {at.validation * BITS:.2f} bits a character on text held out")
    print(write(at.params, "The ", 60 if asked.quick else 240, 0.7, asked.seed))


def learn(asked, ids, cut):
    """Train; show a sample now and then."""
    steps = 60 if asked.quick else asked.steps
    shown = [0, steps // 10, steps // 3, steps]

    def sample(status):
        if status.step >= shown[0]:
            shown.pop(0)
            report(status, asked)

    model = Writer.init(np.random.default_rng(asked.seed), asked.hidden)
    return train.fit(
        loss,
        model,
        windows(ids[:cut], BATCH),
        optim.adam(optim.cosine(1e-2, steps=steps, last=1e-3)),
        steps=steps,
        clip_norm=1.0,
        seed=asked.seed,
        validation=windows(ids[cut:], 128),
        check_every=steps // 30,
        callback=sample,
        progress=False,
    )


def surprise(model, ids):
    """Bits that each letter but the first costs."""
    _, logits = model.onward(None, ids[:-1, None])
    return -nn.log_softmax(logits)[np.arange(len(ids) - 1), 0, ids[1:]] * BITS


def draw(found, passage, bits):
    figure, (left, right) = panels(2, width=6)
    left.plot(found.checks["step"], found.checks["loss"] * BITS, label="training")
    left.plot(found.checks["step"], found.checks["validation"] * BITS, label="held out")
    for order, style in ((0, ":"), (1, "-."), (2, "--")):
        label = f"frequencies given {order} letter{'' if order == 1 else 's'} before"
        left.axhline(tasks.entropy(order), color="grey", linestyle=style, label=label)
    left.set(xlabel="step", ylabel="bits a character", ylim=(1, 6), xlim=(0, None), title="what it has learned")
    left.grid(alpha=0.3)
    left.legend()

    width, rows = 44, 16
    shades = np.full((rows, width), np.nan)
    shades.reshape(-1)[: len(bits)] = bits[: shades.size]
    image = right.imshow(shades, cmap="YlOrRd", vmin=0, vmax=8, aspect="auto")
    for k, letter in enumerate(passage[1 : 1 + shades.size]):
        shown = "⏎" if letter == "\n" else letter
        look = {"family": "monospace", "fontsize": 8, "color": "white" if bits[k] > 6 else "black"}
        right.text(k % width, k // width, shown, ha="center", va="center", **look)
    right.axis("off")
    right.set_title("held-out text, and the bits each letter costs")
    figure.colorbar(image, ax=right, shrink=0.8)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, steps=1500, hidden=128)
    ids = tasks.encode(tasks.text())
    cut = int(0.9 * len(ids))
    print(f"{cut} letters to learn from, {len(ids) - cut} held out")
    found = learn(asked, ids, cut)
    print(f"--- {found.steps} steps in {found.seconds:.0f} s")
    passage = ids[cut + 1000 : cut + 1000 + 44 * 16 + 1]
    save(draw(found, tasks.decode(passage), surprise(found.params, passage)), asked.out, "char_rnn.png")


if __name__ == "__main__":
    main()
