"""Engines: what computes the logits of images; one file for each, chosen by measuring."""
