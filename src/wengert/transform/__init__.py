"""Derivatives: the adjoint of a recorded segment, appended to the same tape, and what users call."""
