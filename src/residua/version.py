"""The version of residua, and nothing else."""

__version__ = "0.1.0"
