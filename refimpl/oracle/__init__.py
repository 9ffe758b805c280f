"""The multiprecision oracle: it shares no formula and no code with the rest."""
