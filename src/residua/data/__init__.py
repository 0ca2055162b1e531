"""Images of every source, as batches of pixels that depend on nothing but the seed."""
