"""Clips with one class each: decoding, sources, sampling, protocols and pages."""
