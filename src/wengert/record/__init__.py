"""Recording: tracers that answer NumPy's protocols, and the recorder they write to."""
