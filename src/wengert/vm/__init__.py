"""Replay: programs run by compiled kernels, and the naive oracle of the same loops."""
