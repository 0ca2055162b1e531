"""A server to compare with, of an ONNX file: `python serve_peers.py FILE PORT`.

It is what people write first: a session of ONNX Runtime, called for each request in FastAPI's thread pool. It
needs no residua but FastAPI, ONNX Runtime, Pillow and NumPy. LitServe is in `serve_litserve.py`.
"""

import io
import sys
from typing import Any

import numpy as np
from PIL import Image

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
TOPK = 5


def inputs_of(body: bytes) -> Any:
    """The normalised centre of an encoded image, (3, 224, 224)."""
    image = Image.open(io.BytesIO(body)).convert("RGB")
    short = min(image.size)
    width, height = (256 if side == short else int(256 * side / short) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1))


def session_of(file: str) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def top(logits: Any) -> dict[str, Any]:
    powers = np.exp(logits - logits.max())
    shares = powers / powers.sum()
    return {"classes": [[int(label), float(shares[label])] for label in np.argsort(-shares)[:TOPK]]}


def plain(file: str, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool

    session, app = session_of(file), FastAPI()
    name = session.get_inputs()[0].name

    def compute(body: bytes) -> dict[str, Any]:
        return top(session.run(None, {name: inputs_of(body)[None]})[0][0])

    async def predict(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(compute, await request.body())

    app.post("/predict")(predict)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    plain(sys.argv[1], int(sys.argv[2]))
