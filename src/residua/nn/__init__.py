"""How a network computes: torch modules spelled from the values of `residua.spec`."""
