"""Views are normalised to the same numbers with torch and without it."""

import numpy as np
import pytest
import torch
from small_model import READS, WITH_MEAN_IMAGE, views

from residua.data.transforms import normalise
from residua.predict.engines.normalise import normalise_views


@pytest.mark.parametrize("preprocess", [READS, WITH_MEAN_IMAGE], ids=["mean and std", "mean image"])
def test_numpy_normalises_as_torch_does(preprocess):
    pixels = views(3)
    by_torch = normalise(torch.from_numpy(pixels), preprocess).numpy()
    np.testing.assert_allclose(normalise_views(pixels, preprocess), by_torch, rtol=1e-5, atol=1e-5)
