"""Training: the loop, what decides its arithmetic, what a resumed run continues from, and its processes."""
