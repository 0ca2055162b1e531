"""LitServe with batching, as its documentation advises, of an ONNX file: `serve_litserve.py FILE PORT`.

It needs no residua but LitServe, ONNX Runtime, Pillow and NumPy. Its workers are spawned, so that what they
unpickle stands at the top of this file.
"""

import sys
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body
from serve_peers import inputs_of, session_of, top

Raw = Annotated[bytes, Body(media_type="application/octet-stream")]
"""The body as it is: of `fastapi.Request`, LitServe reads JSON and forms alone."""


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """The same as the plain server, in batches."""

    def setup(self, device: str) -> None:
        """Open the file that the command names."""
        self.session = session_of(sys.argv[1])
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request: Raw) -> Any:
        """The inputs of one request."""
        return inputs_of(request)

    def batch(self, inputs: list[Any]) -> Any:
        """One array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """Logits."""
        return self.session.run(None, {self.name: x})[0]

    def unbatch(self, output: Any) -> Any:
        """One output each."""
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The likeliest classes."""
        return top(output)


if __name__ == "__main__":
    api = Classifier(max_batch_size=8, batch_timeout=0.005, api_path="/predict")
    litserve.LitServer(api, accelerator="cpu", timeout=60).run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False
    )
