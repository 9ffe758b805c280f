"""The constants of the propositions and theorems, explicit and computable."""

from refimpl.theory.depth import DepthBound, depth_bound, mean_depth_bound

__all__ = ["DepthBound", "depth_bound", "mean_depth_bound"]
