"""Servers to compare with, each of the same ONNX file: `python serve_peers.py plain|litserve FILE PORT`.

They need no residua: what they need is FastAPI or LitServe, ONNX Runtime, Pillow and NumPy. `plain` is what
people write first: a session of ONNX Runtime, called for each request in FastAPI's thread pool. `litserve` is
LitServe with batching, as its documentation advises.
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


def litserve(file: str, port: int) -> None:
    import litserve as ls
    from fastapi import Request

    class Classifier(ls.LitAPI):  # type: ignore[misc]
        def setup(self, device: str) -> None:
            self.session = session_of(file)
            self.name = self.session.get_inputs()[0].name

        async def decode_request(self, request: Request) -> Any:
            return inputs_of(await request.body())

        def batch(self, inputs: list[Any]) -> Any:
            return np.stack(inputs)

        def predict(self, x: Any) -> Any:
            return self.session.run(None, {self.name: x})[0]

        def unbatch(self, output: Any) -> Any:
            return list(output)

        def encode_response(self, output: Any) -> dict[str, Any]:
            return top(output)

    api = Classifier(max_batch_size=8, batch_timeout=0.005, api_path="/predict")
    ls.LitServer(api, accelerator="cpu", timeout=60).run(
        host="127.0.0.1", port=port, generate_client_file=False
    )


if __name__ == "__main__":
    {"plain": plain, "litserve": litserve}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
