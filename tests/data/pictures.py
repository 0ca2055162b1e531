"""Pictures made on the spot, for the tests of this folder."""

import io

import numpy as np
from PIL import Image

from residua.data.images import Images


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Gradients under noise: smooth and rough at once, as photographs are."""
    across, down = np.linspace(0, 160, width)[None, :, None], np.linspace(0, 80, height)[:, None, None]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    return Image.fromarray((across * [1, 0.5, 0.2] + down * [0.1, 0.5, 1] + noise).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file of that kind."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pictured(images: Images) -> dict[str, tuple[str, bytes]]:
    """Class and pixels by name."""
    return {
        images.title(i): (images.classes[images.labels[i]], images.image(i, "rgb").tobytes())
        for i in range(len(images))
    }
