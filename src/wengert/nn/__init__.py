"""Layers, recurrent cells, losses and initialisers on pytrees of NumPy arrays; see docs/nn.md. Public API only."""

from wengert.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
    swish,
    tanh,
)
from wengert.nn.cells import gru_cell, gru_init, lstm_cell, lstm_init, rnn_cell, rnn_init
from wengert.nn.dropout import Dropout
from wengert.nn.initialisers import glorot_normal, glorot_uniform, he_normal, he_uniform, orthogonal
from wengert.nn.layers import Dense, Embedding, Function, LayerNorm, Sequential
from wengert.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_logits,
    huber,
    mae,
    mse,
    softmax_cross_entropy,
)
from wengert.nn.module import Module, static
from wengert.nn.recurrent import GRU, LSTM, RNN, length_mask, over_time
from wengert.nn.torch_layout import from_torch, to_torch

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dense",
    "Dropout",
    "Embedding",
    "Function",
    "LayerNorm",
    "Module",
    "Sequential",
    "binary_cross_entropy",
    "binary_cross_entropy_logits",
    "elu",
    "from_torch",
    "gelu",
    "glorot_normal",
    "glorot_uniform",
    "gru_cell",
    "gru_init",
    "he_normal",
    "he_uniform",
    "huber",
    "leaky_relu",
    "length_mask",
    "log_softmax",
    "lstm_cell",
    "lstm_init",
    "mae",
    "mse",
    "orthogonal",
    "over_time",
    "relu",
    "rnn_cell",
    "rnn_init",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "static",
    "swish",
    "tanh",
    "to_torch",
]
