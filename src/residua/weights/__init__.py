"""Weights of ours and of others: read without running code, written whole, translated name by name."""

from residua.weights.load import load, save_as

__all__ = ["load", "save_as"]
