"""How a network learns: the loop, what decides its arithmetic, and what survives on disk."""
