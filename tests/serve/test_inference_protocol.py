"""The Open Inference Protocol, version 2, with Triton's own client."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from residua.predict.classifier import Classifier, load
from residua.spec.preprocess import Preprocess
from server_process import Server, picture, png

triton: Any = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

PICTURES = [picture(colour, seed) for colour in ("red", "green", "blue") for seed in range(2)]
FILES = [png(pixels) for pixels in PICTURES]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def peer(server: Server) -> Any:
    return triton.InferenceServerClient(server.address.removeprefix("http://"))


@pytest.fixture(scope="module")
def classifier(trained_run: Path) -> Classifier:
    return load(trained_run)


@pytest.fixture(scope="module")
def expected(classifier: Classifier) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([classifier(file).probabilities for file in FILES], np.float32)


def tensor(kind: str, preprocess: Preprocess) -> Any:
    """All pictures as an input of a kind."""
    if kind == "image":
        given = triton.InferInput("image", [len(FILES)], "BYTES")
        given.set_data_from_numpy(np.array(FILES, object))
    elif kind == "pixels":
        given = triton.InferInput("pixels", [len(FILES), 12, 12, 3], "UINT8")
        given.set_data_from_numpy(np.stack(PICTURES))
    else:
        values = np.stack(PICTURES).transpose(0, 3, 1, 2).astype(np.float32) / 255
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (preprocess.mean, preprocess.std))
        given = triton.InferInput("inputs", list(values.shape), "FP32")
        given.set_data_from_numpy(np.ascontiguousarray((values - mean) / std))
    return given


def test_triton_sees_a_server_that_is_ready(peer: Any) -> None:
    assert peer.is_server_live()
    assert peer.is_server_ready()
    assert peer.is_model_ready("colours")
    assert not peer.is_model_ready("other")
    assert "binary_tensor_data" in peer.get_server_metadata()["extensions"]
    metadata = peer.get_model_metadata("colours")
    assert [each["name"] for each in metadata["inputs"]] == ["image", "pixels", "inputs"]
    assert metadata["outputs"][0]["shape"] == [-1, 3]
    assert metadata["parameters"]["classes"] == ["blue", "green", "red"]


@pytest.mark.parametrize("kind", ["image", "pixels", "inputs"])
def test_every_kind_of_input_gives_the_offline_answer(
    peer: Any, kind: str, classifier: Classifier, expected: Any
) -> None:
    result = peer.infer("colours", [tensor(kind, classifier.preprocess)], request_id="seven")
    assert result.get_response()["id"] == "seven"
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-4)


@pytest.mark.parametrize("is_binary", [True, False])
def test_the_classification_extension_names_the_likeliest_classes(
    peer: Any, is_binary: bool, classifier: Classifier, expected: Any
) -> None:
    asked = triton.InferRequestedOutput("probabilities", binary_data=is_binary, class_count=2)
    images = tensor("image", classifier.preprocess)
    rows = peer.infer("colours", [images], outputs=[asked]).as_numpy("probabilities")
    assert rows.shape == (len(FILES), 2)
    for row, shares in zip(rows, expected, strict=True):
        share, index, name = (row[0].decode() if is_binary else row[0]).split(":")
        assert (int(index), name) == (shares.argmax(), classifier.classes[shares.argmax()])
        assert float(share) == pytest.approx(shares.max(), abs=1e-4)


def test_json_tensors_work_without_a_client(client: httpx.Client, expected: Any) -> None:
    data = [base64.b64encode(file).decode() for file in FILES]
    images = {"name": "image", "datatype": "BYTES", "shape": [len(FILES), 1], "data": data}
    document = client.post("/v2/models/colours/infer", json={"inputs": [images]}).json()
    (output,) = document["outputs"]
    np.testing.assert_allclose(np.reshape(output["data"], output["shape"]), expected, atol=1e-4)
    nested = {"name": "pixels", "datatype": "UINT8", "shape": [1, 12, 12, 3], "data": [PICTURES[0].tolist()]}
    document = client.post("/v2/models/colours/infer", json={"inputs": [nested]}).json()
    np.testing.assert_allclose(document["outputs"][0]["data"], expected[0], atol=1e-4)


GOOD: dict[str, Any] = {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
WRONG: dict[str, Any] = {
    "no inputs": {},
    "two inputs": {"inputs": [GOOD, GOOD]},
    "unknown input": {"inputs": [GOOD | {"name": "other"}]},
    "other datatype": {"inputs": [GOOD | {"datatype": "FP32"}]},
    "no shape": {"inputs": [{key: value for key, value in GOOD.items() if key != "shape"}]},
    "negative side": {"inputs": [GOOD | {"shape": [1, -2, -2, 3]}]},
    "truth as a side": {"inputs": [GOOD | {"shape": [True, 2, 2, 3]}]},
    "grey": {"inputs": [GOOD | {"shape": [1, 2, 2, 1], "data": [0] * 4}]},
    "huge": {"inputs": [GOOD | {"shape": [1, 1 << 20, 1 << 20, 3]}]},
    "too few numbers": {"inputs": [GOOD | {"data": [0] * 11}]},
    "too large a number": {"inputs": [GOOD | {"data": [256] * 12}]},
    "text": {"inputs": [GOOD | {"data": ["a"] * 12}]},
    "ragged": {"inputs": [GOOD | {"data": [[0], [0, 0]] * 4}]},
    "binary without bytes": {"inputs": [GOOD | {"parameters": {"binary_data_size": 12}}]},
    "no base64": {
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["http://x/y.png"]}]
    },
    "other output": {"inputs": [GOOD], "outputs": [{"name": "other"}]},
    "no number of classes": {
        "inputs": [GOOD],
        "outputs": [{"name": "probabilities", "parameters": {"classification": "all"}}],
    },
    "id of another type": {"inputs": [GOOD], "id": 3},
    "not normalised": {
        "inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 3, 12, 12], "data": [77.0] * 432}]
    },
    "a list": [],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_refused_in_a_sentence(client: httpx.Client, name: str) -> None:
    response = client.post("/v2/models/colours/infer", content=json.dumps(WRONG[name]))
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"error"}


INPUTS: dict[str, Any] = {"name": "inputs", "datatype": "FP32", "shape": [1, 3, 12, 12]}


@pytest.mark.parametrize(
    ("value", "name"),
    [("12", "text"), (1.7, "point"), (1.0, "point"), (True, "true or false"), (None, "null")],
)
def test_numbers_of_pixels_are_whole(client: httpx.Client, value: object, name: str) -> None:
    for data in ([value] * 12, [*[0] * 11, value], [[[[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, value]]]]):
        response = client.post("/v2/models/colours/infer", json={"inputs": [GOOD | {"data": data}]})
        assert response.status_code == 400, data
        assert name in response.json()["error"]


@pytest.mark.parametrize("value", ["0.5", True, None, {}])
def test_numbers_of_inputs_are_numbers(client: httpx.Client, value: object) -> None:
    for data in ([value] * 432, [*[0.0] * 431, value]):
        response = client.post("/v2/models/colours/infer", json={"inputs": [INPUTS | {"data": data}]})
        assert response.status_code == 400, data
    whole = client.post("/v2/models/colours/infer", json={"inputs": [INPUTS | {"data": [0] * 432}]})
    assert whole.status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"inputs": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_refused(client: httpx.Client, body: bytes) -> None:
    assert client.post("/v2/models/colours/infer", content=body).status_code == 400


@pytest.mark.parametrize("length", ["-1", "9999", "1e3", "x", "2"])
def test_a_wrong_length_of_the_json_is_refused(client: httpx.Client, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    body = json.dumps({"inputs": [GOOD]}).encode()
    assert client.post("/v2/models/colours/infer", content=body, headers=headers).status_code == 400


def test_more_images_than_a_request_may_hold_are_refused(client: httpx.Client) -> None:
    many = GOOD | {"shape": [129, 1, 1, 3], "data": [0] * 387}
    assert client.post("/v2/models/colours/infer", json={"inputs": [many]}).status_code == 413


def test_another_name_is_not_served(client: httpx.Client) -> None:
    for address in ("/v2/models/other", "/v2/models/other/ready"):
        assert client.get(address).status_code == 404
    assert client.post("/v2/models/other/infer", json={"inputs": [GOOD]}).status_code == 404
