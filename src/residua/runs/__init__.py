"""The run directory as others read it: recipe, environment, metrics, checkpoints. Imports nothing of
training.

`residua.runs.checkpoint` reads weights and training states; it imports torch, this module does not.
"""

from residua.runs.run import Run, create, environment, open_run

__all__ = ["Run", "create", "environment", "open_run"]
