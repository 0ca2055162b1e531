"""A script: the whole application on a free port, over a classifier that knows colours and needs no torch.

It prints the port when it accepts requests, and ends when its standard input does.
"""

import asyncio
import io
import os
import socket
import sys
import threading
import time
from typing import Any

import numpy as np
import uvicorn
from numpy.typing import NDArray
from PIL import Image

from residua.predict.picture_classifier import PictureClassifier
from residua.serve.app import create_app
from residua.serve.model import picture_model
from residua.spec.preprocess import Preprocess

CLASSES = ("red", "green", "blue", "<b>yellow</b>", "cyan", "magenta", "grey")
COLOURS = np.array(
    [(220, 50, 40), (40, 200, 60), (30, 60, 220), (230, 220, 40), (40, 210, 220), (210, 50, 210), (128,) * 3]
)
SIDE, RESIZE = 48, 64


class ColourClassifier(PictureClassifier):
    """The nearer the mean colour of an image to that of a class, the likelier."""

    classes = CLASSES
    preprocess = Preprocess(SIDE, RESIZE, (0.5,) * 3, (0.25,) * 3)

    def probabilities(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.01)
        distances = np.linalg.norm(views.mean((2, 3))[:, None] - COLOURS, axis=2)
        scores = np.exp(-distances / 30)
        return (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def cam(views: NDArray[np.uint8]) -> list[bytes]:
    """A red disc for each view, transparent around it."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[x**2 + y**2 < 200] = (255, 0, 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return [stream.getvalue() for _ in views]


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    model = picture_model("colours", ColourClassifier(), "numpy", cam)
    server = uvicorn.Server(uvicorn.Config(create_app(model), log_level="warning"))

    async def serve(*_: Any) -> None:
        print(listener.getsockname()[1], flush=True)
        await server.serve([listener])

    def stop() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=stop, daemon=True).start()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
