"""How good a network is: every number with its protocol, its count and its interval."""
