"""Exports: a trained network as a file for another runtime; one file for each target, one gate for all."""
