"""Data: sources, decoding, and batches of pixels that depend on the seed and the step alone.

The way of an image: `sources/` list the files of a dataset; `decode.py` turns a file into pixels;
`transforms.py` cuts and flips; `batches.py` makes batches, from memory (`resident.py`) or from worker
processes (`loader.py`); `batch_augmentation.py` changes whole batches on their device. `sampler.py` gives
every order and random number.
"""
