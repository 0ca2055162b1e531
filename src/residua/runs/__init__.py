"""The run directory as others read it: recipe, environment, metrics, checkpoints; no training is imported."""
