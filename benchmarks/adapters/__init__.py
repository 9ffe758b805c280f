"""Other libraries as candidates for `refimpl check`: one module a library, one class a solver.

``refimpl check benchmarks.adapters.diffrax:Tsit5``. Each class takes the tolerance it asks its library for, `rtol`.
"""
