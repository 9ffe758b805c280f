"""Width n: forward and adjoint states, and the contraction that turns them into gradients and kernels.

Inside this package a state is an array of shape (nodes, n, N), or (n, N) at one time: neurons in rows, samples in
columns, so that W acts from the left as in the formulas. The public functions take and return (N, …).
"""
