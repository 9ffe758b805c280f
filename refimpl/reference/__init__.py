"""Values that can be trusted: a multiprecision oracle, which shares no formula and no code with the rest."""
