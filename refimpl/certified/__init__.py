"""Values with an error: an estimate by default, a proof on request."""

from refimpl.certified.values import Reference, reference

__all__ = ["Reference", "reference"]
