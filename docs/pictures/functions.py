"""The functions whose tapes are drawn in docs/pictures.md."""

import numpy as np

import wengert


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loss(w1, w2, b, v, c):
    h = sigmoid(0.5 * w1 - w2 + b)
    y = sigmoid(v * h + c)
    return -np.log(y)


def rnn(u, w, xs):
    def step(h, x):
        return np.tanh(h @ u + x), None

    h, _ = wengert.scan(step, np.zeros((2, 4)), xs)
    return np.mean(h @ w)


def pendulum(angle, speed):
    for _ in range(100):
        speed = speed - 0.05 * np.sin(angle)
        angle = angle + 0.05 * speed
    return angle
