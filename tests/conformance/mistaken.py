"""Wrong implementations, as an author of a framework might write them: `Plain` with one mistake each.

`mistake` says in one line what is wrong; `expected_name_hint` are words of which one must be in the name that the check
gives to it, for mistakes that the numbers give away.
"""

from __future__ import annotations

from tests.conformance import (
    mistaken_activations,
    mistaken_adjoint,
    mistaken_gradients,
    mistaken_limit,
    mistaken_model,
    mistaken_resnet,
)
from tests.conformance.plain import Plain

CANDIDATES = tuple(
    candidate
    for module in (
        mistaken_model, mistaken_activations, mistaken_adjoint, mistaken_gradients, mistaken_resnet, mistaken_limit,
    )
    for candidate in vars(module).values()
    if isinstance(candidate, type) and issubclass(candidate, Plain) and hasattr(candidate, "mistake")
)  # fmt: skip
