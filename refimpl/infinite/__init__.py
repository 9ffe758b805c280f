"""Width n → ∞: the mirror image of `refimpl.finite`, with covariances in place of states.

Inside this package a field over pairs of times has shape (B, M, M): one matrix over the M nodes of a scheme for each
of B pairs of inputs.
"""
