"""This package against other ODE libraries: ``python -m benchmarks``. Runs from a checkout."""
