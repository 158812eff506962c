"""Loops over time: the scan op, its adjoint (backpropagation through time), and the public `scan`."""
