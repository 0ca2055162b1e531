"""Trained networks at work: a network with its preprocessing and class names, loaded, saved and applied."""
